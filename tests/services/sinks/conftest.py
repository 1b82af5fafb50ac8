from __future__ import annotations

from tests.support.broker import broker  # noqa: F401
from tests.support.postgres import database, postgres  # noqa: F401
from tests.support.seaweed import seaweed  # noqa: F401
from tests.support.snowflake import snowflake  # noqa: F401
from tests.support.valkey import valkey  # noqa: F401
