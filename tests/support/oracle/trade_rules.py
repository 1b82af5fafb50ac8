"""The alerts that are made of trades: each trade once, in the order of their topic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from tests.e2e.oracle import TradeRow
from tests.support.oracle.episodes import SECOND, Step, Told, episodes, momentary

__all__ = [
    "MINUTE",
    "Outlier",
    "outlier_alerts",
    "outliers",
    "price_spikes",
    "trade_bursts",
    "usual_trades",
    "volume_spikes",
]

MINUTE = 60 * SECOND
TRADES, LEAST_TRADES = 100, 20
"""How many trades before it a trade is held against, and from how many on."""
WINDOWS, LEAST_WINDOWS = 30, 6
"""The same of windows."""
AT_LEAST_AWAY = Decimal("0.005")


@dataclass
class Window:
    """What a minute has had so far; `first` is by (time, id)."""

    open_time: int
    first: TradeRow
    high: Decimal = Decimal(0)
    low: Decimal = Decimal("Infinity")
    trades: int = 0
    value: Decimal = Decimal(0)
    bought: Decimal = Decimal(0)
    sold: Decimal = Decimal(0)

    def add(self, trade: TradeRow) -> None:
        self.first = min(self.first, trade, key=lambda one: (one.time, one.id))
        self.high, self.low = max(self.high, trade.price), min(self.low, trade.price)
        self.trades += 1
        self.value += trade.price * trade.quantity
        if trade.buyer_is_taker:
            self.bought += trade.quantity
        else:
            self.sold += trade.quantity

    @property
    def change(self) -> Decimal:
        """The furthest that the price was from the first one, as a ratio with its sign."""
        rise, fall = self.high / self.first.price - 1, self.low / self.first.price - 1
        return rise if rise >= -fall else fall

    @property
    def heavy(self) -> str:
        """The side of those who took more."""
        return "buy" if self.bought >= self.sold else "sell"


def price_spikes(rows: Sequence[TradeRow], threshold: Decimal, cooldown: int, ends: int) -> list[Told]:
    """The price moves by more than `threshold` within a minute."""

    def step(window: Window, _: object) -> Step:
        change = window.change
        side = "buy" if change > 0 else "sell"
        return Step(0, side, change, 2 if abs(change) > threshold else 0, (threshold, threshold))

    return _of_minutes("price_spike", rows, step, cooldown, ends, lambda a, b: max(a, b, key=abs))


def volume_spikes(
    rows: Sequence[TradeRow], threshold: Decimal, cooldown: int, ends: int, usual: Decimal | None = None
) -> list[Told]:
    """Value traded within a minute is above `threshold`; or, where that is known, above `usual` times the median."""

    def step(window: Window, before: list[Window]) -> Step:
        median = _usual([one.value for one in before])
        limit = usual * median if usual and median else threshold
        return Step(0, window.heavy, window.value, int(window.value > limit), (limit, limit))

    return _of_minutes("volume_spike", rows, step, cooldown, ends, max)


def trade_bursts(rows: Sequence[TradeRow], factor: Decimal, cooldown: int, ends: int) -> list[Told]:
    """More trades within a minute than `factor` times the median of the 30 before that had trades and were closed."""

    def step(window: Window, before: list[Window]) -> Step:
        median = _usual([Decimal(one.trades) for one in before])
        limit = factor * median if median else Decimal("Infinity")
        value = Decimal(window.trades)
        return Step(0, window.heavy, value, int(value > limit), (limit, limit))

    return _of_minutes("trade_burst", rows, step, cooldown, ends, max)


def _usual(values: Sequence[Decimal]) -> Decimal | None:
    return median(values) if len(values) >= LEAST_WINDOWS else None


def _of_minutes(
    rule: str,
    rows: Sequence[TradeRow],
    step: Callable[[Window, list[Window]], Step],
    cooldown: int,
    ends: int,
    furthest: Callable[[Decimal, Decimal], Decimal],
) -> list[Told]:
    """A rule that a minute meets from one of its trades on.

    The alert begins with the first such minute and goes on for as long as the next one meets it as well. `ends` is the
    time from which on a minute is not known to have closed. Each minute is judged with the 30 before it that had
    closed when it began.
    """
    windows: dict[int, Window] = {}
    steps: list[Step] = []
    until = 0
    for row in rows:
        open_time = row.time // MINUTE * MINUTE
        window = windows.setdefault(open_time, Window(open_time, row))
        window.add(row)
        before = [windows[of] for of in sorted(windows) if of <= open_time - 2 * MINUTE]
        found = step(window, before[-WINDOWS:])
        if not found.level:
            continue
        if steps and open_time > until:
            steps.append(_closing(steps[-1], until))
        steps.append(Step(row.time, found.side, found.value, found.level, found.limits, open_time))
        until = max(until, open_time + MINUTE)
    if steps and until + MINUTE <= ends:
        steps.append(_closing(steps[-1], until))
    return episodes(rule, steps, cooldown, furthest)


def _closing(last: Step, until: int) -> Step:
    return Step(until, last.side, last.value, 0, last.limits)


@dataclass(frozen=True)
class Outlier:
    """A trade far from those before it: their median, and the distance that it is over."""

    trade: TradeRow
    median: Decimal
    limit: Decimal


def outliers(rows: Sequence[TradeRow], factor: Decimal) -> list[Outlier]:
    """The trades farther than `factor` × MAD from the median of the 100 before, and at least 50 bps."""
    found = []
    for place, row in enumerate(rows):
        prices = [trade.price for trade in rows[max(0, place - TRADES) : place]]
        if len(prices) < LEAST_TRADES:
            continue
        middle = median(prices)
        mad = median(abs(price - middle) for price in prices)
        distance = abs(row.price - middle)
        if distance > factor * mad and distance >= AT_LEAST_AWAY * middle:
            found.append(Outlier(row, middle, max(factor * mad, AT_LEAST_AWAY * middle)))
    return found


def outlier_alerts(rows: Sequence[TradeRow], factor: Decimal) -> list[Told]:
    """Values are ratios: how far the price is from the median, with its sign, and how far it may be."""
    found: list[Told] = []
    for one in outliers(rows, factor):
        limit = one.limit / one.median
        side = "buy" if one.trade.buyer_is_taker else "sell"
        step = Step(one.trade.time, side, one.trade.price / one.median - 1, 1, (limit, limit))
        found += momentary("outlier", step, one.trade.id)
    return found


def usual_trades(rows: Sequence[TradeRow]) -> list[Decimal | None]:
    """Of each trade the median value of the 100 before it."""
    values = [row.price * row.quantity for row in rows]
    before = (values[max(0, place - TRADES) : place] for place in range(len(values)))
    return [median(some) if len(some) >= LEAST_TRADES else None for some in before]
