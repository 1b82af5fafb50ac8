"""The sink into Snowflake: what is computed, for a data team, in batches that let the warehouse suspend."""

from __future__ import annotations

from marketpipeline.sinks.snowflake.sink import SnowflakeSink, from_settings

__all__ = ["SnowflakeSink", "from_settings"]
