"""When to ask for a snapshot of a book: one at a time, and less often after each that was of no use."""

from __future__ import annotations

from collections.abc import Callable

from marketpipeline.ingestion.desk import Desk
from marketpipeline.venues.dialect import BookSnapshot, RestRequest

__all__ = ["RETRY_AFTER", "STABLE_AFTER", "Snapshots"]

RETRY_AFTER = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds before the next snapshot, by how many were of no use."""
STABLE_AFTER = 30.0
"""Seconds without another useless one after which those are forgotten."""


class Snapshots:
    """Asks for the snapshots of one symbol while `wanted()`; `take` gets them."""

    def __init__(
        self,
        desk: Desk,
        request: Callable[[], RestRequest[BookSnapshot]],
        wanted: Callable[[], bool],
        take: Callable[[BookSnapshot], None],
    ) -> None:
        self._desk = desk
        self._request = request
        self._wanted = wanted
        self._take = take
        self._under_way = False
        self._useless = 0
        self._useless_at = 0.0
        self._ask_at: float | None = None
        self.now = 0.0

    def ask_now(self) -> None:
        """Ask at once, unless the last one was of no use and its wait is not over."""
        if self._ask_at is None or not self._useless:
            self._ask()

    def ask_in(self, seconds: float) -> None:
        """Ask after a while, if it is still wanted then."""
        self._ask_at = self.now + seconds

    def was_useless(self) -> None:
        """The last one was too old, or made no book: ask again after a wait that grows."""
        self.ask_in(RETRY_AFTER[min(self._useless, len(RETRY_AFTER) - 1)])
        self._useless += 1
        self._useless_at = self.now

    def tick(self, now: float) -> None:
        """Time has passed."""
        self.now = now
        if self._ask_at is not None and now >= self._ask_at:
            self._ask()
        if self._useless and now >= self._useless_at + STABLE_AFTER:
            self._useless = 0

    def _ask(self) -> None:
        self._ask_at = None
        if not self._under_way and self._wanted():
            self._under_way = True
            self._desk.ask(self._request(), self._answered, self._refused)

    def _answered(self, snapshot: BookSnapshot) -> None:
        self._under_way = False
        self._take(snapshot)

    def _refused(self, reason: str) -> None:
        self._under_way = False
        self._useless = len(RETRY_AFTER)
        self.was_useless()
