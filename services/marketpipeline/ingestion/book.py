"""A local order book: changes in, the best levels of each side out after every one.

Of each side all levels are in a dict by their price, and the best hundred or so prices, the window, in a sorted list.
Levels outside of the window cost only the dict; the best ones are read off the window's end, as the tuples that
came off the wire. When the window runs low it is rebuilt. Measured against others in docs/decisions/0031.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from math import inf

from marketpipeline.records import Level

__all__ = ["Asks", "Bids", "BookSide", "CrossedBook", "LocalBook"]

WINDOW = 128
"""Prices in a new window; it is cut to this when it has grown to four times as many."""


class CrossedBook(Exception):
    """The best bid is not below the best ask: the book is wrong and has to be fetched again."""


class BookSide:
    """One side.

    `edge` is the furthest price that a snapshot told; beyond it levels may exist that nobody spoke of. None
    when the snapshot was whole. The window's prices ascend; every price from `_low` to `_high` is in it.
    """

    __slots__ = ("_high", "_levels", "_low", "_window", "edge")

    def __init__(self) -> None:
        self.edge: float | None = None
        self._levels: dict[float, Level] = {}
        self._window: list[float] = []
        self._low, self._high = -inf, inf

    def load(self, levels: Sequence[Level], whole: bool) -> None:
        """Replace everything by the levels of a snapshot."""
        self._levels = {level[0]: level for level in levels if level[1]}
        self.renew(WINDOW)
        self.edge = None if whole or not self._levels else self._furthest()

    def apply(self, changes: Sequence[Level]) -> None:
        """Set levels to their new quantity; 0 removes one."""
        levels, window, low, high = self._levels, self._window, self._low, self._high
        for level in changes:
            price, quantity = level
            if quantity:
                if price not in levels and low <= price <= high:
                    insort(window, price)
                levels[price] = level
            elif price in levels:
                del levels[price]
                if low <= price <= high:
                    del window[bisect_left(window, price)]
        if len(window) > 4 * WINDOW:
            self.renew(WINDOW)

    def renew(self, count: int) -> None:
        """Rebuild the window from the best `count` prices."""
        raise NotImplementedError

    def top(self, count: int) -> list[Level]:
        """The best `count` levels, best first; fewer when there are fewer."""
        raise NotImplementedError

    def best(self) -> float | None:
        """The best price."""
        raise NotImplementedError

    def known(self, count: int) -> bool:
        """Whether the best `count` levels are certain to be just those: none of them lies beyond the edge."""
        raise NotImplementedError

    def _furthest(self) -> float:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._levels)


class Bids(BookSide):
    """Best is highest."""

    __slots__ = ()

    def renew(self, count: int) -> None:
        prices = sorted(self._levels)
        self._low = prices[-count] if len(prices) > count else -inf
        self._window = prices[-count:]

    def top(self, count: int) -> list[Level]:
        if len(self._window) < count and self._low > -inf:
            self.renew(max(WINDOW, 2 * count))
        return list(map(self._levels.__getitem__, self._window[: -count - 1 : -1]))

    def best(self) -> float | None:
        return self._window[-1] if self._window else next((price for price, _ in self.top(1)), None)

    def known(self, count: int) -> bool:
        if self.edge is None:
            return True
        levels = self.top(count)
        return len(levels) == count and levels[-1][0] >= self.edge

    def _furthest(self) -> float:
        return min(self._levels)


class Asks(BookSide):
    """Best is lowest."""

    __slots__ = ()

    def renew(self, count: int) -> None:
        prices = sorted(self._levels)
        self._high = prices[count - 1] if len(prices) > count else inf
        self._window = prices[:count]

    def top(self, count: int) -> list[Level]:
        if len(self._window) < count and self._high < inf:
            self.renew(max(WINDOW, 2 * count))
        return list(map(self._levels.__getitem__, self._window[:count]))

    def best(self) -> float | None:
        return self._window[0] if self._window else next((price for price, _ in self.top(1)), None)

    def known(self, count: int) -> bool:
        if self.edge is None:
            return True
        levels = self.top(count)
        return len(levels) == count and levels[-1][0] <= self.edge

    def _furthest(self) -> float:
        return max(self._levels)


class LocalBook:
    """Both sides of a book."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = Bids()
        self.asks = Asks()

    def load(self, bids: Sequence[Level], asks: Sequence[Level], *, bids_whole: bool, asks_whole: bool) -> None:
        """Start from a snapshot; raises CrossedBook."""
        self.bids.load(bids, bids_whole)
        self.asks.load(asks, asks_whole)
        self._check()

    def apply(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Apply one update of the exchange, whole; raises CrossedBook when the result is crossed."""
        self.bids.apply(bids)
        self.asks.apply(asks)
        self._check()

    def known(self, count: int) -> bool:
        """Whether the best `count` levels of both sides are certain."""
        return self.bids.known(count) and self.asks.known(count)

    def _check(self) -> None:
        bid, ask = self.bids.best(), self.asks.best()
        if bid is not None and ask is not None and bid >= ask:
            raise CrossedBook(f"best bid {bid!r} is not below best ask {ask!r}")
