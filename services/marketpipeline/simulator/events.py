"""Market events, independent of any exchange: what a protocol encodes to frames and decodes from them.

Prices and quantities are decimal text exactly as the wire has them, so nothing is rounded on the way from a
capture to a client. Times are microseconds since the epoch.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

__all__ = ["AggTrade", "BookDiff", "BookSnapshot", "DayStatistics", "Event", "Levels", "Quote", "Trade"]

Levels = list[tuple[str, str]]
"""`(price, quantity)` of one side."""


class Trade(NamedTuple):
    """One match. `time` is that of the match, `event_time` that of its report."""

    trade_id: int
    price: str
    quantity: str
    time: int
    event_time: int
    buyer_is_maker: bool


class AggTrade(NamedTuple):
    """The matches of one taker order at one price; trade ids are inclusive."""

    agg_trade_id: int
    price: str
    quantity: str
    first_trade_id: int
    last_trade_id: int
    time: int
    event_time: int
    buyer_is_maker: bool


class BookDiff(NamedTuple):
    """Levels that changed by the updates `first_id` to `last_id`; quantity zero removes a level."""

    first_id: int
    last_id: int
    event_time: int
    bids: Levels
    asks: Levels


class BookSnapshot(NamedTuple):
    """A whole book after the update `last_id`, best price first."""

    last_id: int
    bids: Levels
    asks: Levels


class Quote(NamedTuple):
    """The best bid and ask after the update `update_id`."""

    update_id: int
    bid_price: str
    bid_quantity: str
    ask_price: str
    ask_quantity: str


class DayStatistics(NamedTuple):
    """The rolling 24 hours up to `time`; volumes in base and in quote."""

    time: int
    open_time: int
    open: str
    high: str
    low: str
    last: str
    last_quantity: str
    volume: Decimal
    quote_volume: Decimal
    first_trade_id: int
    last_trade_id: int
    trades: int
    quote: Quote | None


Event = Trade | AggTrade | BookDiff | BookSnapshot | Quote
