"""A limit order book with price-time priority; prices in ticks, quantities in lots, both integers.

Every change of a level is one update id, as on a real exchange. Who owns an order does not matter here, so
an order is only its quantity at its place in a level's queue.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from typing import NamedTuple

__all__ = ["BUY", "SELL", "Fill", "OrderBook", "Side"]

BUY, SELL = 1, -1


class Fill(NamedTuple):
    """A match with one resting order."""

    tick: int
    lots: int


class Side:
    """The resting orders of one side, `sign` BUY or SELL."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.queues: dict[int, deque[int]] = {}
        self.totals: dict[int, int] = {}
        self._ticks: list[int] = []

    def __len__(self) -> int:
        """Number of levels."""
        return len(self._ticks)

    @property
    def best(self) -> int | None:
        """The best price."""
        if not self._ticks:
            return None
        return self._ticks[-1] if self.sign == BUY else self._ticks[0]

    def ticks(self, count: int) -> list[int]:
        """The best `count` prices, best first."""
        return self._ticks[: -count - 1 : -1] if self.sign == BUY else self._ticks[:count]

    def orders(self) -> int:
        """Number of resting orders."""
        return sum(map(len, self.queues.values()))

    def push(self, tick: int, lots: int) -> None:
        """Add an order at the end of a level's queue."""
        if tick not in self.queues:
            insort(self._ticks, tick)
            self.queues[tick] = deque()
            self.totals[tick] = 0
        self.queues[tick].append(lots)
        self.totals[tick] += lots

    def change_front(self, tick: int, lots: int) -> None:
        """Leave `lots` of the first order of a level; 0 removes it, and an empty level with it."""
        queue = self.queues[tick]
        self.totals[tick] += lots - queue[0]
        if lots:
            queue[0] = lots
            return
        queue.popleft()
        self._drop_if_empty(tick)

    def remove(self, tick: int, index: int) -> None:
        """Cancel one order of a level."""
        queue = self.queues[tick]
        self.totals[tick] -= queue[index]
        del queue[index]
        self._drop_if_empty(tick)

    def _drop_if_empty(self, tick: int) -> None:
        if not self.queues[tick]:
            del self.queues[tick], self.totals[tick]
            del self._ticks[bisect_left(self._ticks, tick)]


class OrderBook:
    """Both sides, and what changed since somebody looked."""

    def __init__(self, update_id: int) -> None:
        self.update_id = update_id
        self.sides = {BUY: Side(BUY), SELL: Side(SELL)}
        self.touched: dict[int, set[int]] = {BUY: set(), SELL: set()}

    def rest(self, sign: int, tick: int, lots: int) -> int:
        """Add a passive order; one that would match is put one tick short of that. Returns its price."""
        against = self.sides[-sign].best
        if against is not None and (tick - against) * sign >= 0:
            tick = against - sign
        self.sides[sign].push(tick, lots)
        self._touch(sign, tick)
        return tick

    def cancel(self, sign: int, tick: int, index: int) -> None:
        """Take out one order of a level."""
        self.sides[sign].remove(tick, index)
        self._touch(sign, tick)

    def clear_level(self, sign: int, tick: int) -> None:
        """Take out all orders of a level."""
        for _ in range(len(self.sides[sign].queues[tick])):
            self.cancel(sign, tick, 0)

    def take(self, sign: int, lots: int, limit: int | None = None) -> list[Fill]:
        """Match an aggressive order of side `sign` up to `limit`; what finds no match is discarded."""
        fills: list[Fill] = []
        side = self.sides[-sign]
        while lots and (tick := side.best) is not None and (limit is None or (limit - tick) * sign >= 0):
            resting = side.queues[tick][0]
            matched = min(lots, resting)
            side.change_front(tick, resting - matched)
            self._touch(-sign, tick)
            fills.append(Fill(tick, matched))
            lots -= matched
        return fills

    def _touch(self, sign: int, tick: int) -> None:
        self.update_id += 1
        self.touched[sign].add(tick)
