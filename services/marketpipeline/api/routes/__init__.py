"""The paths of the API: each reads its parameters, asks the reader, and writes the answer."""

from __future__ import annotations

from marketpipeline.api.routes import analytics, docs, market, stream, system, v3

__all__ = ["analytics", "docs", "market", "stream", "system", "v3"]
