"""Candles of a list of trades, as an exchange's own endpoints and streams give them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from marketpipeline.simulator.events import Trade

__all__ = ["INTERVALS", "Candle", "candles"]

_SECOND = 1_000_000
INTERVALS = MappingProxyType(
    {
        "1s": _SECOND,
        **{f"{n}m": n * 60 * _SECOND for n in (1, 3, 5, 15, 30)},
        **{f"{n}h": n * 3600 * _SECOND for n in (1, 2, 4, 6, 8, 12)},
        "1d": 86_400 * _SECOND,
    }
)
"""Interval names and their lengths in microseconds."""


@dataclass(slots=True)
class Candle:
    """One window, times in microseconds, `close_time` exclusive; volumes are exact sums."""

    open_time: int
    close_time: int
    open: str
    high: str
    low: str
    close: str
    volume: Decimal
    quote_volume: Decimal
    trades: int
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal
    first_trade_id: int
    last_trade_id: int

    def add(self, trade: Trade) -> None:
        """Take in a trade of this window that comes after all others in it."""
        price, quantity = Decimal(trade.price), Decimal(trade.quantity)
        if price > Decimal(self.high):
            self.high = trade.price
        if price < Decimal(self.low):
            self.low = trade.price
        self.close = trade.price
        self.volume += quantity
        self.quote_volume += price * quantity
        self.trades += 1
        if not trade.buyer_is_maker:
            self.taker_buy_volume += quantity
            self.taker_buy_quote_volume += price * quantity
        self.last_trade_id = trade.trade_id

    @classmethod
    def opened_by(cls, trade: Trade, interval: int) -> Candle:
        """The window that the trade falls in, with that trade as its first."""
        start = trade.time - trade.time % interval
        price, none = trade.price, Decimal(0)
        candle = cls(start, start + interval, price, price, price, price, none, none, 0, none, none, trade.trade_id, 0)
        candle.add(trade)
        return candle


def candles(trades: Iterable[Trade], interval: int) -> list[Candle]:
    """The candles of trades in their order, oldest first; a window without a trade has none."""
    made: list[Candle] = []
    for trade in trades:
        if made and trade.time < made[-1].close_time:
            made[-1].add(trade)
        else:
            made.append(Candle.opened_by(trade, interval))
    return made
