"""Ingestion: one process that reads one exchange and writes what it says to the broker's raw topics.

As a module: `Ingestion(settings).start()`, `.metrics()`, `.stop()`; it runs in a thread of its own.

    socket ─ link ─ mapper ─ lane ─ producer        the way of a frame
    session ─ shards ─ links                        what is connected and subscribed
    gate ─ REST                                     what a stream does not tell: snapshots, missed trades

`session` and all below it, down to the lanes, open no socket and read no clock: events go in (a frame, a connection, an
answer, a tick), commands and records come out. `engine` joins them to `socket`, `rest` and `producer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["Ingestion"]

if TYPE_CHECKING:
    from marketpipeline.ingestion.service import Ingestion


def __getattr__(name: str) -> object:
    """Load the service only when it is asked for: the lanes and books need none of its libraries."""
    if name == "Ingestion":
        from marketpipeline.ingestion.service import Ingestion

        return Ingestion
    raise AttributeError(name)
