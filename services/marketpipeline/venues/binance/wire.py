"""Binance's messages as they are on the wire, with its own names; types say what is accepted.

Numbers come as JSON strings, which a decoder with `strict=False` reads as floats. What is not finite, negative
or absurd is refused by the types' bounds. Fields that nothing needs are left out and skipped.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from marketpipeline.venues.values import MillisecondsOrMicroseconds

__all__ = [
    "AggTradeFrame",
    "AggTradeMessage",
    "AggTradeNumber",
    "Anything",
    "Count",
    "DepthFrame",
    "DepthMessage",
    "ErrorBody",
    "KlineFrame",
    "KlineMessage",
    "PartialFrame",
    "PartialMessage",
    "Price",
    "Quantity",
    "QuoteFrame",
    "QuoteMessage",
    "RawFrame",
    "Size",
    "TickerFrame",
    "TickerMessage",
    "Time",
    "TradeFrame",
    "TradeMessage",
    "TradeNumber",
    "is_partial",
]

Price = Annotated[float, Meta(gt=0, lt=1e15)]
Quantity = Annotated[float, Meta(ge=0, lt=1e18)]
Size = Annotated[float, Meta(gt=0, lt=1e18)]
Count = Annotated[int, Meta(ge=0)]
Time = MillisecondsOrMicroseconds
WireLevel = tuple[Price, Quantity]


class DepthMessage(msgspec.Struct, gc=False):
    """`<s>@depth@100ms`: the updates `U` to `u`; a quantity of 0 removes its level."""

    E: Time
    s: str
    U: Count
    u: Count
    b: list[WireLevel]
    a: list[WireLevel]


class PartialMessage(msgspec.Struct, gc=False):
    """`<s>@depth20@100ms`, and the REST snapshot: no symbol and no time in it."""

    last_update_id: Annotated[int, Meta(ge=0)] = msgspec.field(name="lastUpdateId")
    bids: list[WireLevel]
    asks: list[WireLevel]


class TradeMessage(msgspec.Struct, gc=False):
    """`<s>@trade`; `m`: the buyer was the maker."""

    E: Time
    s: str
    t: Count
    p: Price
    q: Size
    T: Time
    m: bool


class AggTradeMessage(msgspec.Struct, gc=False):
    """`<s>@aggTrade`: the trades `f` to `l`."""

    E: Time
    s: str
    a: Count
    p: Price
    q: Size
    f: Count
    l: Count  # noqa: E741 - the wire's name
    T: Time
    m: bool


class QuoteMessage(msgspec.Struct, gc=False):
    """`<s>@bookTicker`: no time in it. A side without an order has the price 0."""

    u: Count
    s: str
    b: Quantity
    B: Quantity
    a: Quantity
    A: Quantity


class TickerMessage(msgspec.Struct, gc=False):
    """`<s>@ticker`. Prices are 0 where nothing was traded or one side of the book is empty."""

    E: Time
    s: str
    c: Quantity
    Q: Quantity
    b: Quantity
    B: Quantity
    a: Quantity
    A: Quantity
    o: Quantity
    h: Quantity
    l: Quantity  # noqa: E741 - the wire's name
    v: Quantity
    q: Quantity
    w: Quantity
    n: Count


class Kline(msgspec.Struct, gc=False):
    """`k` of a kline message: `t` the open time, `V` what takers bought, `x` whether it is closed.

    Its prices are 0 for a pair that never traded.
    """

    t: Time
    s: str
    i: str
    o: Quantity
    c: Quantity
    h: Quantity
    l: Quantity  # noqa: E741 - the wire's name
    v: Quantity
    n: Count
    x: bool
    q: Quantity
    V: Quantity


class KlineMessage(msgspec.Struct, gc=False):
    """`<s>@kline_1m`."""

    E: Time
    s: str
    k: Kline


class DepthFrame(msgspec.Struct, gc=False):
    """A wrapped message; the wrapper's `stream` is read before decoding."""

    data: DepthMessage


class PartialFrame(msgspec.Struct, gc=False):
    data: PartialMessage


class TradeFrame(msgspec.Struct, gc=False):
    data: TradeMessage


class AggTradeFrame(msgspec.Struct, gc=False):
    data: AggTradeMessage


class QuoteFrame(msgspec.Struct, gc=False):
    data: QuoteMessage


class TickerFrame(msgspec.Struct, gc=False):
    data: TickerMessage


class KlineFrame(msgspec.Struct, gc=False):
    data: KlineMessage


class RawFrame(msgspec.Struct):
    """A wrapped message that is not read yet."""

    data: msgspec.Raw


class TradeNumber(msgspec.Struct):
    """What is left of a trade whose other fields may be wrong."""

    s: str
    number: Count = msgspec.field(name="t")


class AggTradeNumber(msgspec.Struct):
    """The same of an aggregate trade."""

    s: str
    number: Count = msgspec.field(name="a")


class ErrorBody(msgspec.Struct):
    """`code` and `msg` of an error, on the socket or over REST."""

    code: int
    msg: str = ""


class Anything(msgspec.Struct):
    """Any frame, as far as it takes to tell what it is."""

    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    result: object = msgspec.UNSET
    id: int | str | None = None
    error: ErrorBody | None = None
    code: int | None = None
    msg: str = ""
    e: str | None = None
    s: str | None = None
    u: object = None
    b: object = None
    B: object = None

    @property
    def id_number(self) -> int | None:
        """The number of the control message that this answers; None where it has none of ours."""
        return self.id if isinstance(self.id, int) else None

    @property
    def has_quote(self) -> bool:
        """Whether the fields are those of a best quote, which names no event."""
        return self.u is not None and isinstance(self.b, str) and isinstance(self.B, str)


def is_partial(stream: str) -> bool:
    """Whether a book stream carries top levels (`…@depth20@100ms`), not changes (`…@depth@100ms`)."""
    return "@depth" in stream and not stream.partition("@")[2].startswith("depth@")
