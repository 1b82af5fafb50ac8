"""Random order flow of one symbol: which orders arrive, and when.

A zero-intelligence market with an anchor. Limit orders arrive at a steady rate around a fair price that walks
randomly, each lives for a random time, so the book keeps its shape by itself. Takers come in clusters (each
makes the next likelier for a while, as in a Hawkes process); some are informed and trade towards the fair
price, the others trade at random. Scenarios change the numbers of `Mood` and the fair price, nothing else.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from marketpipeline.simulator.simulation.book import BUY, SELL, Fill, OrderBook
from marketpipeline.simulator.simulation.instruments import Instrument

__all__ = ["Flow", "Mood"]

BPS = 1e-4


@dataclass(slots=True)
class Mood:
    """What scenarios may change. Rates per second, sizes in quote units, distances in basis points."""

    limit_rate: float = 30.0
    order_life: float = 4.0
    taker_rate: float = 2.0
    informed_rate: float = 4.0
    order_size: float = 2_500.0
    taker_size: float = 350.0
    volatility: float = 0.6
    """Of the fair price, in basis points per square root of a second."""
    gap: float = 0.15
    """Distance within which nobody puts a limit order, from the fair price and half way to the other side."""
    weight: dict[int, float] = field(default_factory=lambda: {BUY: 1.0, SELL: 1.0})
    """How much larger than usual the limit orders of each side are."""


class Flow:
    """Acts on the book at random; `traded` is told the fills of each taker, `acted` every action's end."""

    LEVEL_SPREAD = 1.5
    """Mean distance of most limit orders from the fair price, in basis points."""
    FAR_SPREAD = 15.0
    """The same of the others, which give the book its depth."""
    CLUSTER, CALM_DOWN = 1.2, 3.0
    """How much a taker raises the rate of the next ones (per second), and how fast that decays (per second)."""

    def __init__(
        self, instrument: Instrument, book: OrderBook, rng: random.Random, traded: Callable[[int, list[Fill]], None]
    ) -> None:
        self.instrument = instrument
        self.book = book
        self.mood = Mood()
        self.fair = instrument.start / float(instrument.tick)
        self._rng = rng
        self._traded = traded
        self._excited = 0.0
        for sign in (BUY, SELL):
            for _ in range(round(self.mood.limit_rate / 2 * self.mood.order_life)):
                self._rest(sign)

    def wait(self) -> float:
        """Seconds until the next action; time goes on by that much."""
        mood = self.mood
        orders = sum(side.orders() for side in self.book.sides.values())
        rate = mood.limit_rate + orders / mood.order_life + mood.taker_rate + mood.informed_rate + self._excited
        pause = self._rng.expovariate(rate)
        self._excited *= math.exp(-self.CALM_DOWN * pause)
        self.fair *= 1 + self._rng.gauss(0, mood.volatility * BPS * math.sqrt(pause))
        return pause

    def act(self) -> None:
        """One action of somebody."""
        mood = self.mood
        orders = {sign: side.orders() for sign, side in self.book.sides.items()}
        choice = self._rng.random() * (
            mood.limit_rate
            + sum(orders.values()) / mood.order_life
            + mood.taker_rate
            + mood.informed_rate
            + self._excited
        )
        if choice < mood.limit_rate:
            self._rest(self._side())
            return
        choice -= mood.limit_rate
        for sign, count in orders.items():
            if choice < count / mood.order_life:
                self._cancel(sign, count)
                return
            choice -= count / mood.order_life
        if choice < mood.informed_rate:
            self._trade_to_fair()
        else:
            self.trade(self._side(), self._size(mood.taker_size, 1.2))

    def trade(self, sign: int, notional: float, limit: int | None = None) -> None:
        """A taker comes who wants so much in quote units."""
        self.trade_lots(sign, self.instrument.lots(notional, self.fair), limit)

    def trade_lots(self, sign: int, lots: int, limit: int | None = None) -> None:
        """The same in lots."""
        fills = self.book.take(sign, lots, limit)
        self._quote_if_empty(-sign)
        if fills:
            self._excited = min(self._excited + self.CLUSTER, 20 * self.mood.taker_rate)
            self._traded(sign, fills)

    def trade_to_fair(self, notional: float) -> None:
        """A taker comes who buys what is cheaper than the fair price, or sells what is dearer."""
        ask, bid = self.book.sides[SELL].best, self.book.sides[BUY].best
        if ask is not None and ask < self.fair:
            self.trade(BUY, notional, math.floor(self.fair))
        elif bid is not None and bid > self.fair:
            self.trade(SELL, notional, math.ceil(self.fair))

    def _trade_to_fair(self) -> None:
        self.trade_to_fair(self._size(self.mood.taker_size * 4, 0.8))

    def _rest(self, sign: int) -> None:
        mood = self.mood
        spread = self.FAR_SPREAD if self._rng.random() < 0.25 else self.LEVEL_SPREAD
        distance = mood.gap + self._rng.expovariate(1 / spread)
        anchor = self.fair
        against = self.book.sides[-sign].best
        if against is not None and (self.fair - against) * sign > -self.mood.gap * BPS * self.fair:
            anchor = against * (1 - sign * self.mood.gap * BPS)
        tick = round(anchor * (1 - sign * distance * BPS))
        lots = self.instrument.lots(self._size(mood.order_size * mood.weight[sign], 0.4), self.fair)
        self.book.rest(sign, max(1, tick), lots)

    def _cancel(self, sign: int, count: int) -> None:
        nth = self._rng.randrange(count)
        for tick, queue in self.book.sides[sign].queues.items():
            if nth < len(queue):
                self.book.cancel(sign, tick, nth)
                self._quote_if_empty(sign)
                return
            nth -= len(queue)

    def _quote_if_empty(self, sign: int) -> None:
        """A maker quotes where a side has lost its last order: a liquid book is never one-sided."""
        if self.book.sides[sign].best is None:
            self._rest(sign)

    def _side(self) -> int:
        return BUY if self._rng.random() < 0.5 else SELL

    def _size(self, median: float, sigma: float) -> float:
        """Lognormal, cut at 40 times its median so that only a scenario makes a whale."""
        return min(self._rng.lognormvariate(math.log(median), sigma), 40 * median)
