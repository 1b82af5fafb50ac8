"""The sink into TimescaleDB, or plain PostgreSQL: the history of everything."""

from __future__ import annotations

from marketpipeline.sinks.timescale.sink import TimescaleSink, from_settings

__all__ = ["TimescaleSink", "from_settings"]
