"""The shapes of Binance spot's market-data messages, as far as the exchange has to read them.

Times are in milliseconds or, where the client asked for it, in microseconds.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "AggTradeMessage",
    "AggTradeRow",
    "DiffMessage",
    "OtherMessage",
    "Peek",
    "QuoteMessage",
    "SnapshotMessage",
    "TradeMessage",
    "TradeRow",
]

Texts = list[tuple[str, str]]


class TradeMessage(msgspec.Struct, gc=False):
    """`<symbol>@trade`. Times are in milliseconds or, where the client asked for it, microseconds in all of these."""

    E: int
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool


class AggTradeMessage(msgspec.Struct, gc=False, kw_only=True):
    """`<symbol>@aggTrade`."""

    E: int
    s: str
    a: int
    p: str
    q: str
    f: int
    last: int = msgspec.field(name="l")
    T: int
    m: bool


class TradeRow(msgspec.Struct, gc=False):
    """A trade as `/api/v3/historicalTrades` gives it."""

    id: int
    price: str
    qty: str
    time: int
    is_buyer_maker: bool = msgspec.field(name="isBuyerMaker")


class AggTradeRow(msgspec.Struct, gc=False, kw_only=True):
    """An aggregate trade as `/api/v3/aggTrades` gives it."""

    a: int
    p: str
    q: str
    f: int
    last: int = msgspec.field(name="l")
    T: int
    m: bool


class DiffMessage(msgspec.Struct, gc=False):
    """`<symbol>@depth` and `<symbol>@depth@100ms`."""

    E: int
    s: str
    U: int
    u: int
    b: Texts
    a: Texts
    pu: int | None = None
    """Only in messages of the futures exchanges, whose changes continue by it."""


class QuoteMessage(msgspec.Struct, gc=False):
    """`<symbol>@bookTicker`."""

    u: int
    s: str
    b: str
    B: str
    a: str
    A: str


class SnapshotMessage(msgspec.Struct, gc=False, kw_only=True):
    """The REST answer of `/api/v3/depth`, and `<symbol>@depth20` and its like."""

    last_update_id: int = msgspec.field(name="lastUpdateId")
    bids: Texts
    asks: Texts


class OtherMessage(msgspec.Struct, gc=False):
    """Any other event: only its time and symbol matter here."""

    e: str
    E: int = 0
    s: str = ""


class Peek(msgspec.Struct, gc=False):
    """What tells one message from another when no wrapper names the stream."""

    e: str = ""
    E: int = 0
    s: str = ""
    u: int = 0
    B: Any = None
    k: Any = None
    last_update_id: int = msgspec.field(default=0, name="lastUpdateId")
    stream: Any = None
    result: Any = msgspec.UNSET
    id: Any = msgspec.UNSET
    error: Any = None
    code: Any = None
