"""Renews a live book from a second snapshot without a pause.

A snapshot reaches only so far from the best price; of levels beyond it only those are known that changed since. When
the price has moved and the best levels come near that edge, another snapshot is fetched. Changes since it was
asked for are remembered and applied to it, and once it has caught up its levels replace the book's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from marketpipeline.ingestion.book import CrossedBook, LocalBook
from marketpipeline.ingestion.desk import Desk
from marketpipeline.venues.dialect import BookChange, BookSnapshot, RestRequest

__all__ = ["Refresh"]

_log = logging.getLogger(__name__)

RESERVE = 5
"""The best levels times this must be known; else it is time."""
MAX_REMEMBERED = 10_000
EVERY = 30.0
"""Seconds between two attempts, so that a book that stays unknown costs little."""


class Refresh:
    """Watches over one book. `wanted` while changes have to be remembered."""

    def __init__(self, book: LocalBook, desk: Desk, request: Callable[[], RestRequest[BookSnapshot]]) -> None:
        self._book = book
        self._desk = desk
        self._request = request
        self._changes: list[BookChange] = []
        self._snapshot: BookSnapshot | None = None
        self._generation = 0
        self._not_before = 0.0
        self.wanted = False
        self.done = 0

    def look(self, levels: int, now: float) -> None:
        """Ask for a snapshot when fewer than `levels` times the reserve are certain. Called now and then."""
        if self.wanted or now < self._not_before or self._book.known(levels * RESERVE):
            return
        self.wanted = True
        self._not_before = now + EVERY
        generation = self._generation

        def done(snapshot: BookSnapshot) -> None:
            if generation == self._generation and self.wanted:
                self._snapshot = snapshot
                self._finish()

        def refused(reason: str) -> None:
            if generation == self._generation:
                self.forget()

        self._desk.ask(self._request(), done, refused)

    def follow(self, change: BookChange) -> None:
        """A change was applied to the live book."""
        self._changes.append(change)
        if len(self._changes) > MAX_REMEMBERED:
            self.forget()
        elif self._snapshot is not None:
            self._finish()

    def forget(self) -> None:
        """The book was lost, or the attempt is of no use."""
        self._generation += 1
        self.wanted = False
        self._snapshot = None
        self._changes = []

    def _finish(self) -> None:
        """Replace the levels when the live book has reached the snapshot."""
        snapshot, changes = self._snapshot, self._changes
        if snapshot is None or not changes or changes[-1].last_id < snapshot.last_id:
            return
        fresh = LocalBook()
        try:
            if snapshot.last_id + 1 >= changes[0].first_id:
                fresh.load(snapshot.bids, snapshot.asks, bids_whole=snapshot.bids_whole, asks_whole=snapshot.asks_whole)
                for change in changes:
                    if change.last_id > snapshot.last_id:
                        fresh.apply(change.bids, change.asks)
                self._book.bids, self._book.asks = fresh.bids, fresh.asks
                self.done += 1
        except CrossedBook as error:
            _log.warning("a refreshed book is %s", error)
        self.forget()
