"""A local order book: changes in, the best levels of each side out after every one.

Each side is a sorted list of prices and a dict from a price to its level as it came off the wire. A change is
a bisection and a short move of memory, and the best levels are read without sorting anything or making new
tuples. Measured against other structures in docs/decisions/0031.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from marketpipeline.records import Level

__all__ = ["Asks", "Bids", "BookSide", "CrossedBook", "LocalBook"]


class CrossedBook(Exception):
    """The best bid is not below the best ask: the book is wrong and has to be fetched again."""


class BookSide:
    """One side, its prices ascending.

    `edge` is the furthest price that a snapshot told; beyond it levels may exist that nobody spoke of. None
    when the snapshot was whole.
    """

    __slots__ = ("_levels", "_prices", "edge")

    def __init__(self) -> None:
        self.edge: float | None = None
        self._prices: list[float] = []
        self._levels: dict[float, Level] = {}

    def load(self, levels: Iterable[Level], whole: bool) -> None:
        """Replace everything by the levels of a snapshot."""
        self._levels = {level[0]: level for level in levels if level[1]}
        self._prices = sorted(self._levels)
        furthest = self.top(len(self._prices))[-1:]
        self.edge = None if whole or not furthest else furthest[0][0]

    def apply(self, changes: Iterable[Level]) -> None:
        """Set levels to their new quantity; 0 removes one."""
        prices, levels = self._prices, self._levels
        for level in changes:
            price, quantity = level
            if quantity:
                if price not in levels:
                    insort(prices, price)
                levels[price] = level
            elif price in levels:
                del levels[price]
                del prices[bisect_left(prices, price)]

    def top(self, count: int) -> list[Level]:
        """The best `count` levels, best first; fewer when there are fewer."""
        raise NotImplementedError

    def best(self) -> float | None:
        """The best price."""
        raise NotImplementedError

    def known(self, count: int) -> bool:
        """Whether the best `count` levels are certain to be just those: none of them lies beyond the edge."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._prices)


class Bids(BookSide):
    """Best is highest."""

    __slots__ = ()

    def top(self, count: int) -> list[Level]:
        return list(map(self._levels.__getitem__, self._prices[: -count - 1 : -1]))

    def best(self) -> float | None:
        return self._prices[-1] if self._prices else None

    def known(self, count: int) -> bool:
        return self.edge is None or (len(self._prices) >= count and self._prices[-count] >= self.edge)


class Asks(BookSide):
    """Best is lowest."""

    __slots__ = ()

    def top(self, count: int) -> list[Level]:
        return list(map(self._levels.__getitem__, self._prices[:count]))

    def best(self) -> float | None:
        return self._prices[0] if self._prices else None

    def known(self, count: int) -> bool:
        return self.edge is None or (len(self._prices) >= count and self._prices[count - 1] <= self.edge)


class LocalBook:
    """Both sides of a book."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = Bids()
        self.asks = Asks()

    def load(self, bids: Iterable[Level], asks: Iterable[Level], *, bids_whole: bool, asks_whole: bool) -> None:
        """Start from a snapshot; raises CrossedBook."""
        self.bids.load(bids, bids_whole)
        self.asks.load(asks, asks_whole)
        self._check()

    def apply(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
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
