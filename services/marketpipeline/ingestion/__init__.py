"""Ingestion: one process that reads one exchange and writes what it says to the broker's raw topics.

As a module: `Ingestion(settings).start()`, `.metrics()`, `.stop()`; it runs in a thread of its own.

    socket ─ connection ─ mapper ─ stream handler ─ publisher      the way of a frame
    session ─ connection managers ─ connections                    what is connected and subscribed
    rate limiter ─ REST                                            what a stream does not tell: snapshots, missed trades

`session` and all below it, down to the stream handlers, open no socket and read no clock: events go in (a frame, a
connection, an answer, a tick), commands and records come out. `engine` joins them to `socket`, `rest` and `publisher`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["Ingestion"]

if TYPE_CHECKING:
    from marketpipeline.ingestion.service import Ingestion


def __getattr__(name: str) -> object:
    """Load the service only when it is asked for: the handlers and books need none of its libraries."""
    if name == "Ingestion":
        from marketpipeline.ingestion.service import Ingestion

        return Ingestion
    raise AttributeError(name)
