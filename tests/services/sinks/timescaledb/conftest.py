from __future__ import annotations

from tests.support.timescaledb import timescaledb  # noqa: F401
