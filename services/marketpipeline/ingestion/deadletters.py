"""Input that could not be used, as a record."""

from __future__ import annotations

import base64

from marketpipeline.records import DeadLetter
from marketpipeline.venues.dialect import FrameError

__all__ = ["dead_letter"]


def dead_letter(payload: bytes, error: FrameError, source: str, ingestion_time: int) -> DeadLetter:
    """The payload whole: as text where it is UTF-8, else as base64."""
    try:
        text, encoding = payload.decode("utf-8"), True
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(payload).decode("ascii"), False
    return DeadLetter(
        symbol=error.symbol,
        payload=text,
        encoding="utf-8" if encoding else "base64",
        error=str(error),
        source=source,
        ingestion_time=ingestion_time,
    )
