"""Named events of a simulated market, each made to fire the alert that watches for it.

A scenario acts when it begins, every 100 ms while it lasts, and when it ends and leaves the market to its
usual flow. Sizes are in quote units, distances in basis points, times in seconds of exchange time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

import msgspec

from marketpipeline.simulator.schedule import Planned
from marketpipeline.simulator.simulation.book import BUY, SELL
from marketpipeline.simulator.simulation.flow import BPS, Flow, Mood

__all__ = ["SCENARIOS", "STEP", "Scenario", "tour"]

STEP = 0.1
"""Seconds between two steps of a scenario."""

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
SideName = Literal["buy", "sell"]
_SIGN: Mapping[str, int] = {"buy": BUY, "sell": SELL}


class Scenario(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of all: an ordinary market."""

    about: ClassVar[str] = ""
    symbol: str = ""
    seconds: Seconds = 10.0

    def begin(self, flow: Flow) -> None:
        """What happens at once."""

    def step(self, flow: Flow, elapsed: float) -> None:
        """What happens every 100 ms."""

    def end(self, flow: Flow) -> None:
        """Leave the market to itself."""
        flow.mood = Mood()


class Calm(Scenario, kw_only=True):
    """See `about`, as with all of these."""

    about: ClassVar[str] = "nothing but the usual flow; ends whatever was going on"


class Quiet(Scenario, kw_only=True):
    """See `about`."""

    about: ClassVar[str] = "an illiquid market: a book change a second or so, a trade every `trade_every` seconds"
    seconds: Seconds = 600.0
    trade_every: Positive = 60.0

    def begin(self, flow: Flow) -> None:
        """See `Scenario.begin`. One taker brings others, and matches several orders."""
        rate = 1 / (3 * self.trade_every)
        flow.mood = Mood(limit_rate=0.4, order_life=600.0, taker_rate=rate, informed_rate=0.0, volatility=0.05)


class OneSidedBook(Scenario, kw_only=True):
    """See `about`."""

    about: ClassVar[str] = "most of the book's quantity is on `side`"
    side: SideName = "buy"
    factor: Positive = 10.0

    def begin(self, flow: Flow) -> None:
        """See `Scenario.begin`."""
        _lean(flow, _SIGN[self.side], self.factor)


class ImbalanceFlip(Scenario, kw_only=True):
    """See `about`."""

    about: ClassVar[str] = "the book leans to `side`, and half way to the other one"
    seconds: Seconds = 8.0
    side: SideName = "buy"
    factor: Positive = 10.0

    def begin(self, flow: Flow) -> None:
        """See `Scenario.begin`."""
        _lean(flow, _SIGN[self.side], self.factor)

    def step(self, flow: Flow, elapsed: float) -> None:
        """See `Scenario.step`."""
        if elapsed - STEP < self.seconds / 2 <= elapsed:
            _lean(flow, -_SIGN[self.side], self.factor)


def _lean(flow: Flow, heavy: int, factor: float) -> None:
    """Thin out one side of the top of the book, fill up the other, and keep it so."""
    flow.mood = Mood(weight={heavy: factor, -heavy: 1 / factor}, volatility=0.1)
    for tick in flow.book.sides[-heavy].ticks(30):
        flow.book.clear_level(-heavy, tick)
        flow.book.rest(-heavy, tick, flow.instrument.lots(flow.mood.order_size / factor, tick))
    for tick in flow.book.sides[heavy].ticks(30):
        flow.book.rest(heavy, tick, flow.instrument.lots(flow.mood.order_size * factor, tick))


class SpreadBlowOut(Scenario, kw_only=True):
    """See `about`."""

    about: ClassVar[str] = "nobody quotes within `distance` basis points of the fair price"
    seconds: Seconds = 6.0
    distance: Annotated[float, msgspec.Meta(gt=0, le=5000)] = 20.0

    def begin(self, flow: Flow) -> None:
        """See `Scenario.begin`."""
        flow.mood = Mood(gap=self.distance, volatility=0.1, informed_rate=0.0)
        for sign, side in flow.book.sides.items():
            edge = flow.fair * (1 - sign * self.distance * BPS)
            for tick in side.ticks(len(side)):
                if (tick - edge) * sign > 0:
                    flow.book.clear_level(sign, tick)


class Whale(Scenario, kw_only=True):
    """See `about`."""

    about: ClassVar[str] = "one trade of `notional` quote units"
    seconds: Seconds = STEP
    side: SideName = "buy"
    notional: Positive = 250_000.0

    def begin(self, flow: Flow) -> None:
        """See `Scenario.begin`. The counterparty is one order of that size at the best price."""
        sign = _SIGN[self.side]
        against = flow.book.sides[-sign]
        price = round(flow.fair) if against.best is None else against.best - sign
        price = flow.book.rest(-sign, price, flow.instrument.lots(self.notional, flow.fair))
        flow.trade_lots(sign, against.totals[price], price)


class PriceSpike(Scenario, kw_only=True):
    """See `about`."""

    about: ClassVar[str] = "the price moves by `percent` within `seconds`"
    seconds: Seconds = 5.0
    percent: Annotated[float, msgspec.Meta(ge=-50, le=100)] = 3.0

    def begin(self, flow: Flow) -> None:
        """See `Scenario.begin`."""
        flow.mood = Mood(informed_rate=20.0, limit_rate=120.0, order_life=2.0, volatility=0.1)

    def step(self, flow: Flow, elapsed: float) -> None:
        """See `Scenario.step`."""
        flow.fair *= (1 + self.percent / 100) ** (STEP / self.seconds)
        flow.trade_to_fair(50_000)


class VolumeBurst(Scenario, kw_only=True):
    """See `about`."""

    about: ClassVar[str] = "trades worth `notional` quote units come within `seconds`"
    seconds: Seconds = 15.0
    notional: Positive = 1_500_000.0

    def begin(self, flow: Flow) -> None:
        """See `Scenario.begin`."""
        flow.mood = Mood(limit_rate=200.0, order_life=3.0, order_size=8_000.0, taker_rate=20.0)

    def step(self, flow: Flow, elapsed: float) -> None:
        """See `Scenario.step`. Both sides alternate, so that the price stays."""
        sign = BUY if math.floor(elapsed / STEP) % 2 else SELL
        flow.trade(sign, self.notional * STEP / self.seconds)


class LiquidityDrain(Scenario, kw_only=True):
    """See `about`."""

    about: ClassVar[str] = "both sides of the book are `factor` times thinner than usual, at the prices they had"
    seconds: Seconds = 8.0
    factor: Positive = 20.0

    def begin(self, flow: Flow) -> None:
        """See `Scenario.begin`."""
        thin = Mood().order_size / self.factor
        flow.mood = Mood(order_size=thin, taker_size=thin / 10, volatility=0.1)
        for sign, side in flow.book.sides.items():
            for tick in side.ticks(len(side)):
                flow.book.clear_level(sign, tick)
                flow.book.rest(sign, tick, flow.instrument.lots(thin, tick))


class TradeBurst(Scenario, kw_only=True):
    """See `about`."""

    about: ClassVar[str] = "`rate` trades a second, each of `notional` quote units"
    seconds: Seconds = 25.0
    rate: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 300.0
    notional: Positive = 20.0

    def step(self, flow: Flow, elapsed: float) -> None:
        """See `Scenario.step`. Both sides alternate, so that the price stays."""
        for n in range(round(self.rate * STEP)):
            flow.trade(BUY if n % 2 else SELL, self.notional)


class FatFinger(Scenario, kw_only=True):
    """See `about`."""

    about: ClassVar[str] = "a taker who goes through the book up to `distance` basis points away, for once"
    seconds: Seconds = STEP
    side: SideName = "buy"
    distance: Annotated[float, msgspec.Meta(gt=0, le=5000)] = 90.0

    def begin(self, flow: Flow) -> None:
        """See `Scenario.begin`. The fair price stays, so the market comes back."""
        sign = _SIGN[self.side]
        limit = round(flow.fair * (1 + sign * self.distance * BPS))
        against = flow.book.sides[-sign]
        flow.book.rest(-sign, limit, flow.instrument.lots(500, limit))
        within = (tick for tick in against.ticks(len(against)) if (limit - tick) * sign >= 0)
        flow.trade_lots(sign, sum(against.totals[tick] for tick in within), limit)


SCENARIOS: Mapping[str, type[Scenario]] = MappingProxyType(
    {
        "calm": Calm,
        "quiet": Quiet,
        "one-sided-book": OneSidedBook,
        "imbalance-flip": ImbalanceFlip,
        "spread-blow-out": SpreadBlowOut,
        "whale": Whale,
        "price-spike": PriceSpike,
        "volume-burst": VolumeBurst,
        "liquidity-drain": LiquidityDrain,
        "trade-burst": TradeBurst,
        "fat-finger": FatFinger,
    }
)

_TOUR: Sequence[tuple[float, str, Mapping[str, str]]] = (
    (1, "trade-burst", {"seconds": "6"}),
    (8, "one-sided-book", {"seconds": "8"}),
    (17, "fat-finger", {}),
    (19, "whale", {}),
    (23, "imbalance-flip", {}),
    (34, "spread-blow-out", {}),
    (41, "volume-burst", {"seconds": "8"}),
    (50, "price-spike", {}),
    (56, "liquidity-drain", {"seconds": "3.5"}),
    (75, "price-spike", {"percent": "-3"}),
    (95, "whale", {"side": "sell"}),
    (105, "one-sided-book", {"side": "sell"}),
)
TOUR_SECONDS = 120.0


def tour(symbols: Sequence[str], round_number: int) -> list[Planned]:
    """One round through all scenarios: each on the next symbol, so that all of them are seen in turn."""
    return [
        Planned(name, {"symbol": symbols[(place + round_number) % len(symbols)], **parameters}, at)
        for place, (at, name, parameters) in enumerate(_TOUR)
    ]
