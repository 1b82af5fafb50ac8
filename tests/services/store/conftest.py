from __future__ import annotations

from tests.support.postgres import postgres  # noqa: F401
from tests.support.valkey import valkey  # noqa: F401
