"""OKX's messages as they are on the wire, with its own names; types say what is accepted.

Numbers, times and ids of trades come as JSON strings, which a decoder with `strict=False` reads as what they are.
What is not finite, negative or absurd is refused by the types' bounds. Fields that nothing needs are left out.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from marketpipeline.venues.values import FIRST_MICROSECOND, FIRST_MILLISECOND

__all__ = [
    "Anything",
    "BookFrame",
    "BookRow",
    "CandleFrame",
    "CandleRow",
    "Count",
    "Price",
    "Quantity",
    "RawBookFrame",
    "Rows",
    "Size",
    "TickerFrame",
    "TickerRow",
    "Time",
    "TopFrame",
    "TopRow",
    "TradeFrame",
    "TradeNumber",
    "TradeRow",
    "WireLevel",
]

Price = Annotated[float, Meta(gt=0, lt=1e15)]
Quantity = Annotated[float, Meta(ge=0, lt=1e18)]
Size = Annotated[float, Meta(gt=0, lt=1e18)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Sequence = Annotated[int, Meta(ge=-1, le=2**63 - 1)]
Time = Annotated[int, Meta(ge=FIRST_MILLISECOND, lt=FIRST_MICROSECOND)]
"""Milliseconds."""


class WireLevel(msgspec.Struct, array_like=True, gc=False):
    """`[px, sz, "0", orders]`, of which the first two matter; size 0 removes the level."""

    px: Price
    sz: Quantity


class BookRow(msgspec.Struct, gc=False, kw_only=True):
    """`books`. `checksum` is 0 since June 2026. A capture of before 2023 has no sequence numbers."""

    asks: list[WireLevel]
    bids: list[WireLevel]
    ts: Time
    seq_id: Count | None = msgspec.field(name="seqId", default=None)
    prev_seq_id: Sequence | None = msgspec.field(name="prevSeqId", default=None)
    checksum: int = 0


class BookFrame(msgspec.Struct, gc=False):
    """A message of `books`; what names the stream is read before decoding."""

    action: Literal["snapshot", "update"]
    data: list[BookRow]


class _RawLevel(msgspec.Struct, array_like=True, gc=False):
    px: str
    sz: str


class _RawBookRow(msgspec.Struct, gc=False):
    asks: list[_RawLevel]
    bids: list[_RawLevel]


class RawBookFrame(msgspec.Struct, gc=False):
    """The same with the levels as text, which checksums are made of."""

    data: list[_RawBookRow]


class TopRow(msgspec.Struct, gc=False):
    """`books5` and `bbo-tbt`: top levels, whole."""

    asks: list[WireLevel]
    bids: list[WireLevel]
    ts: Time
    seq_id: Count | None = msgspec.field(name="seqId", default=None)


class TopFrame(msgspec.Struct, gc=False):
    data: list[TopRow]


class TradeRow(msgspec.Struct, gc=False):
    """`trades-all`, and `trades`, where `count` matches of one taker at one price are one row with the last one's id;
    a match alone has no count, or 1."""

    inst_id: str = msgspec.field(name="instId")
    trade_id: Count = msgspec.field(name="tradeId")
    px: Price
    sz: Size
    side: Literal["buy", "sell"]
    ts: Time
    count: Annotated[int, Meta(ge=1, lt=2**31)] = 1


class TradeFrame(msgspec.Struct, gc=False):
    data: list[TradeRow]


class TradeNumber(msgspec.Struct):
    """What is left of a trade whose other fields may be wrong."""

    number: Count = msgspec.field(name="tradeId")


class TickerRow(msgspec.Struct, gc=False):
    """`tickers`. A number that there is not is an empty text: a book with one side, an instrument never traded."""

    inst_id: str = msgspec.field(name="instId")
    last: str
    last_sz: str = msgspec.field(name="lastSz")
    ask_px: str = msgspec.field(name="askPx")
    ask_sz: str = msgspec.field(name="askSz")
    bid_px: str = msgspec.field(name="bidPx")
    bid_sz: str = msgspec.field(name="bidSz")
    open24h: str
    high24h: str
    low24h: str
    vol24h: str
    vol_ccy24h: str = msgspec.field(name="volCcy24h")
    ts: Time


class TickerFrame(msgspec.Struct, gc=False):
    data: list[TickerRow]


class CandleRow(msgspec.Struct, array_like=True, gc=False):
    """`candle1m`. Of a contract `vol` counts contracts and `vol_ccy` base units; else `vol` base, `vol_ccy` quote."""

    ts: Time
    o: Price
    h: Price
    l: Price  # noqa: E741 - the wire's name
    c: Price
    vol: Quantity
    vol_ccy: Quantity
    vol_ccy_quote: Quantity
    confirm: Literal["0", "1"]


class CandleFrame(msgspec.Struct, gc=False):
    data: list[CandleRow]


class Rows(msgspec.Struct):
    """A message whose rows are not read yet."""

    data: list[msgspec.Raw]


class _Argument(msgspec.Struct):
    channel: str = ""
    inst_id: str = msgspec.field(name="instId", default="")


class Anything(msgspec.Struct):
    """Any message, as far as it takes to tell what it is."""

    event: str = ""
    arg: _Argument | None = None
    code: str = ""
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw()
