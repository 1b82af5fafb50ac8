"""What the stores hold, defined once for those that write (sinks) and those that read (`marketpipeline.readers`)."""

from __future__ import annotations

from marketpipeline.store.latest import REDIS_TOPICS, LatestKeys, newest_kinds
from marketpipeline.store.tables import TABLES, TIMESCALE_TOPICS, Column, Table, table_of

__all__ = [
    "REDIS_TOPICS",
    "TABLES",
    "TIMESCALE_TOPICS",
    "Column",
    "LatestKeys",
    "Table",
    "newest_kinds",
    "table_of",
]
