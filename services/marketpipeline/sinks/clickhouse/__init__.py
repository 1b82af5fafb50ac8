"""The sink into ClickHouse: the history of everything, for analysts."""

from __future__ import annotations

from marketpipeline.sinks.clickhouse.sink import ClickHouseSink, from_settings

__all__ = ["ClickHouseSink", "from_settings"]
