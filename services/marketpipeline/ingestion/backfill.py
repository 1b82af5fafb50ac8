"""One fetching of missed trades over REST, page by page, until the live stream continues them.

It is over when it has reached a live record, or when a page that was asked for under the present subscription is not
full: the exchange had no more, and what came since is on the stream. What cannot be had is a gap.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from marketpipeline.records import AggTrade, Trade

if TYPE_CHECKING:
    from marketpipeline.ingestion.trades import TradeLane

__all__ = ["Backfill"]

_log = logging.getLogger(__name__)

R = TypeVar("R", Trade, AggTrade)

RETRIES = 5
RETRY_AFTER = 0.5
"""The stream may be ahead of REST: how often, and after how many seconds, a hole is asked for again."""


class Backfill(Generic[R]):
    """Fetches for `lane` from its next id on, at most its `max_backfill`."""

    def __init__(self, lane: TradeLane[R]) -> None:
        self._lane: TradeLane[R] = lane
        self._first: int | None = None
        self._last: int | None = None
        self._taken = 0
        self._newest: int | None = None
        self._newest_subscription = -1
        self._retries = 0
        self._retry_at: float | None = None
        self._asked = False
        self._over = False

    def step(self) -> None:
        """Ask for what is missing next; first give up what is more than may be fetched."""
        lane = self._lane
        while not (self._over or self._asked or self._retry_at is not None):
            goal = min(lane.held) if lane.held else self._newest
            left = lane.max_backfill - self._taken
            if goal is None:
                if left > 0 and self._taken < lane.page:
                    self._ask_page(left)
                else:
                    self._ask(None, 1, self._take_newest)
                return
            if goal - self._next() > left:
                lane.lose_until(goal - left, f"more than {lane.max_backfill} to fetch")
            if self._next() < goal:
                self._ask_page(left)
                return
            lane.drain()
            if not lane.held and not lane.dropped and (self._newest is None or self._is_current()):
                self._end()
            elif not lane.held:
                self._newest = None

    def linked(self) -> None:
        """A live record continued the last one: what is held may follow now, and then nothing is missing."""
        self._lane.drain()
        if not self._lane.held and not self._lane.dropped:
            self._end()

    def tick(self, now: float) -> None:
        """Ask again for a hole when its time has come."""
        if self._retry_at == 0.0:
            self._retry_at = now + RETRY_AFTER
        elif self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            self.step()

    def cancel(self) -> None:
        """Whatever is under way is no longer wanted."""
        self._over = True

    def _next(self) -> int:
        number = self._lane.next
        assert number is not None, "a backfill begins only where a record was had"
        return number

    def _is_current(self) -> bool:
        return self._newest_subscription == self._lane.subscription

    def _ask_page(self, left: int) -> None:
        self._ask(self._next(), min(self._lane.page, left), self._take_page)

    def _ask(self, first: int | None, limit: int, take: Callable[[list[R], int, int], None]) -> None:
        subscription = self._lane.subscription
        if self._lane.dropped and not self._lane.held:
            self._lane.dropped = False
            self._newest = None
        self._asked = True

        def done(page: list[R]) -> None:
            self._asked = False
            if not self._over:
                take(page, subscription, limit)

        self._lane.desk.ask(self._lane.request(first, limit), done, self._refused)

    def _take_newest(self, page: list[R], subscription: int, limit: int) -> None:
        self._newest = max([self._next() - 1, *map(self._lane.id_of, page)]) + 1
        self._newest_subscription = subscription
        self.step()

    def _take_page(self, page: list[R], subscription: int, limit: int) -> None:
        lane = self._lane
        before, held = self._next(), bool(lane.held)
        for record in page:
            self._take(record)
        lane.drain()
        if self._next() > before:
            self._retries = 0
        if len(page) < limit and lane.held:
            self._wait_or_lose()
        if not lane.held and not lane.dropped:
            caught_up = len(page) < limit and subscription == lane.subscription
            if held or caught_up:
                self._end()
        self.step()

    def _take(self, record: R) -> None:
        lane = self._lane
        number = lane.id_of(record)
        if number > self._next():
            lane.lose_until(number, "the exchange has none with these ids")
        if number < self._next():
            return
        held = lane.held.pop(number, None)
        if held is not None:
            lane.hand_on(held)
            return
        self._first = number if self._first is None else self._first
        self._last = number
        self._taken += 1
        lane.backfilled += 1
        lane.hand_on(record)

    def _wait_or_lose(self) -> None:
        """REST ended before the stream's first: it may be behind, so ask again some times."""
        if self._retries < RETRIES:
            self._retries += 1
            self._retry_at = 0.0
        else:
            self._retries = 0
            self._lane.lose_until(min(self._lane.held), "the exchange does not give them")

    def _refused(self, reason: str) -> None:
        self._asked = False
        if self._over:
            return
        while self._lane.held:
            self._lane.lose_until(min(self._lane.held), reason)
        self._end(reason)

    def _end(self, refused: str = "") -> None:
        self._over = True
        _log.info("%s backfilled", self._lane.feed, extra={"symbol": self._lane.symbol, "records": self._taken})
        self._lane.end_backfill(self._first, self._last, refused)
