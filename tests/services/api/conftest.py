from __future__ import annotations

from tests.services.api.serving import api, stores  # noqa: F401
from tests.support.broker import broker  # noqa: F401
from tests.support.postgres import database, postgres  # noqa: F401
from tests.support.valkey import valkey  # noqa: F401
