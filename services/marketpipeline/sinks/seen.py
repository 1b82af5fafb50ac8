"""When something of each symbol was received last: what a store with a table of symbols notes of a batch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from marketpipeline.records import FeedEvent, Heartbeat, Record

__all__ = ["Seen"]

_EVERY = 60_000_000
"""Microseconds."""


class Seen:
    """The symbols that a store knows of, each with the time that it has been told; a new connection begins anew."""

    def __init__(self, kept: Collection[type[Record]]) -> None:
        """`kept` are the records that the store has a place for; heartbeats count beside them."""
        self._kept = kept
        self._noted: dict[str, int] = {}

    def forget(self) -> None:
        """The store is another one now."""
        self._noted.clear()

    def due(self, groups: Mapping[type[Record], Iterable[Record]]) -> dict[str, int]:
        """What is to be written: new symbols, and once a minute each when something was received; 0 for never.

        Events of a feed (gaps, disconnects) are not a sign of life.
        """
        seen: dict[str, int] = {}
        for kind, records in groups.items():
            if kind in self._kept or kind is Heartbeat:
                newest = {record.symbol: record.receive_time for record in records}  # type: ignore[attr-defined]  # all have one
                for symbol, received in newest.items():
                    seen[symbol] = max(seen.get(symbol, 0), 0 if kind is FeedEvent else received)
        return {s: at for s, at in seen.items() if s not in self._noted or at - self._noted[s] >= _EVERY}

    def note(self, written: Mapping[str, int]) -> None:
        """The store has it: it counts once the batch is through."""
        self._noted |= written
