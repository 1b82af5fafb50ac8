"""The sink into the lake: Delta tables on S3 or in a folder."""

from __future__ import annotations

from marketpipeline.sinks.lake.sink import LakeSink, from_settings

__all__ = ["LakeSink", "from_settings"]
