"""When the snapshot of a book is asked for: to start from, and to renew a live book without a pause.

`Snapshots` asks one at a time, and less often after each that was of no use. `Refresh` looks after a live book: a
snapshot reaches only so far from the best price, and of levels beyond it only those are known that changed since. When
the price has moved and the best levels come near that edge, another snapshot is fetched. Changes since it was asked
for are remembered and applied to it, and once it has caught up its levels replace the book's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from marketpipeline.errors import PermanentError
from marketpipeline.ingestion.book import CrossedBook, LocalBook
from marketpipeline.ingestion.context import Context
from marketpipeline.venues.adapter import RestRequest
from marketpipeline.venues.messages import BookChange, BookSnapshot

__all__ = ["PUSHED_WITHIN", "RETRY_AFTER", "STABLE_AFTER", "Refresh", "Snapshots"]

_log = logging.getLogger(__name__)

RESERVE = 5
"""The best levels times this must be known; else it is time."""
MAX_REMEMBERED = 10_000
EVERY = 30.0
"""Seconds between two attempts, so that a book that stays unknown costs little."""
RETRY_AFTER = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds before the next snapshot, by how many were of no use."""
PUSHED_WITHIN = 10.0
"""Seconds in which a pushed snapshot has to come."""
UNLISTED_AFTER = 600.0
"""Seconds before a symbol that the exchange does not list is asked for again."""
STABLE_AFTER = 30.0
"""Seconds without another useless one after which those are forgotten."""


class Snapshots:
    """When a snapshot of one symbol is asked for, while `wanted()`. `ask(patient)` fetches one, or asks for the stream
    again where the exchange pushes its snapshots; whoever gets it calls `answered` or `refused`.
    """

    def __init__(self, ask: Callable[[bool], None], wanted: Callable[[], bool], *, pushed: bool) -> None:
        self._ask_for = ask
        self._wanted = wanted
        self._pushed = pushed
        self._under_way: float | None = None
        self._useless = 0
        self._useless_at = 0.0
        self._early = 0
        self._ask_at: float | None = None
        self._unlisted = False
        self.now = 0.0

    def ask_now(self) -> None:
        """Ask at once, unless one is on its way or the wait after a useless one is not over."""
        if self._ask_at is None or not (self._useless or self._early or self._pushed):
            self._ask()

    def ask_in(self, seconds: float) -> None:
        """Ask after a while, if it is still wanted then."""
        self._ask_at = self.now + seconds

    def subscribed(self, patience: float) -> None:
        """The stream is subscribed: what it pushes comes by itself, what it does not is asked for in a moment."""
        self.ask_in(PUSHED_WITHIN if self._pushed else patience)

    def was_early(self) -> None:
        """The last one ends before what is held: ask again after a wait that grows, until one fits."""
        self.ask_in(self._wait(self._useless + self._early))
        self._early += 1

    def fitted(self) -> None:
        """One made a book: that others came too early says nothing of the next time."""
        self._early = 0

    def was_useless(self) -> None:
        """The last one made no book, or a wrong one: ask again after a wait that grows."""
        self.ask_in(self._wait(self._useless))
        self._useless += 1
        self._useless_at = self.now

    def answered(self) -> None:
        """One came."""
        self._under_way = None
        self._unlisted = False
        if self._pushed:
            self._ask_at = None

    def refused(self, error: PermanentError, *, unlisted: bool) -> None:
        """There is none. A symbol that is not listed is asked for rarely, and after all others."""
        self._under_way = None
        self._unlisted = unlisted
        self._useless = len(RETRY_AFTER)
        self.was_useless()
        if unlisted:
            self.ask_in(UNLISTED_AFTER)

    def tick(self, now: float) -> None:
        """Time has passed."""
        self.now = now
        if (self._ask_at is not None and now >= self._ask_at) or (
            self._pushed and self._under_way is not None and now >= self._under_way + PUSHED_WITHIN
        ):
            self._ask()
        if self._useless and now >= self._useless_at + (RETRY_AFTER[-1] if self._unlisted else STABLE_AFTER):
            self._useless = 0

    @staticmethod
    def _wait(useless: int) -> float:
        return RETRY_AFTER[min(useless, len(RETRY_AFTER) - 1)]

    def _ask(self) -> None:
        self._ask_at = None
        if self._pushed and self._under_way is not None and self.now >= self._under_way + PUSHED_WITHIN:
            self._under_way = None
        if self._under_way is None and self._wanted():
            self._under_way = self.now
            self._ask_for(self._unlisted)


class Refresh:
    """Watches over one book. `wanted` while changes have to be remembered."""

    def __init__(
        self, book: LocalBook, context: Context, request: Callable[[], RestRequest[BookSnapshot] | None]
    ) -> None:
        self._book = book
        self._context = context
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
        self._not_before = now + EVERY
        request = self._request()
        if request is None:
            return
        self.wanted = True
        generation = self._generation

        def done(snapshot: BookSnapshot) -> None:
            if generation == self._generation and self.wanted:
                self._snapshot = snapshot
                self._finish()

        def refused(error: PermanentError) -> None:
            if generation == self._generation:
                self.forget()

        self._context.ask(request, done, refused)

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
