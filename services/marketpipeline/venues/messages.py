"""What a frame of an exchange can mean: market data of one stream, an answer, a notice, or nothing.

A mapper gives one of these for each frame, and ingestion needs no second look at the payload.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from marketpipeline.errors import MarketPipelineError
from marketpipeline.records import AggTrade, Book, ExchangeCandle, Level, Quote, Ticker, Trade
from marketpipeline.topics import Feed

__all__ = [
    "Acknowledged",
    "BadRow",
    "BookChange",
    "BookSnapshot",
    "Control",
    "Data",
    "FlawedData",
    "FrameError",
    "GoingDown",
    "Mapped",
    "MarketData",
    "PingReceived",
    "Pong",
    "RawLevel",
    "RawLevels",
    "Refused",
    "Stream",
]


class FrameError(MarketPipelineError):
    """A frame that does not parse or does not make sense; it becomes a dead letter. `symbol` is empty when unknown."""

    def __init__(self, message: str, symbol: str = "") -> None:
        super().__init__(message)
        self.symbol = symbol


class Stream(msgspec.Struct, frozen=True, cache_hash=True):
    """One subscription. `name` is the exchange's own; `symbol` is `exchange:SYMBOL`.

    `endpoint` names the adapter's endpoint that carries it: streams of different endpoints never share a connection.
    """

    name: str
    symbol: str
    feed: Feed
    endpoint: str = ""


RawLevel = tuple[str, str]
"""Price and quantity as the exchange wrote them."""
RawLevels = tuple[Sequence[RawLevel], Sequence[RawLevel]]
"""Bids and asks."""


class BookChange(msgspec.Struct, frozen=True, gc=False):
    """Levels that changed by the updates `first_id` to `last_id`, both inclusive; quantity 0 removes a level.

    `previous_id` is the last id of the change before, where the exchange tells it: with `prevSeqId` and the like the
    first id is the one after it. `checksum` of the book after this change and the levels as text, `raw`, are there
    where the exchange sends a checksum.
    """

    symbol: str
    event_time: int | None
    receive_time: int
    first_id: int
    last_id: int
    bids: list[Level]
    asks: list[Level]
    previous_id: int | None = None
    checksum: int | None = None
    raw: RawLevels | None = None


class BookSnapshot(msgspec.Struct, frozen=True, gc=False):
    """The book after update `last_id`, best levels first, fetched or pushed.

    A side is whole when no level lies beyond those given, or when the exchange itself tells of levels that move into
    the range that it sends; else what lies beyond is not known. A snapshot that is fetched has no `symbol` and times.
    """

    last_id: int
    bids: list[Level]
    asks: list[Level]
    bids_whole: bool
    asks_whole: bool
    symbol: str = ""
    event_time: int | None = None
    receive_time: int = 0
    checksum: int | None = None
    raw: RawLevels | None = None


MarketData = Trade | AggTrade | Book | BookChange | BookSnapshot | Quote | Ticker | ExchangeCandle


class BadRow(msgspec.Struct, frozen=True):
    """One row of a frame or page that cannot be used, among others that can.

    `number` is its trade id, where it has one: what is known to be unusable is not asked for again.
    """

    payload: bytes
    error: str
    number: int | None = None


Data = tuple[Stream, Sequence[MarketData]]
"""What a frame says: its stream and the records, in order. A pair, since one is made for every frame."""


class FlawedData(msgspec.Struct, frozen=True, gc=False):
    """The same of a frame that is not all records.

    `bad` are rows that cannot be used. `nothing` is why a frame that is right has no record, in a word or two: a quote
    of a book with one side, a candle without a trade. It is counted.
    """

    stream: Stream
    records: Sequence[MarketData] = ()
    bad: Sequence[BadRow] = ()
    nothing: str = ""


class Acknowledged(msgspec.Struct, frozen=True):
    """A subscription was accepted: all of control message `number`, or `stream` alone where each has its own answer."""

    number: int | None = None
    stream: Stream | None = None


class Refused(msgspec.Struct, frozen=True):
    """A subscription was not accepted: one of control message `number`, or `stream`; neither where it is not said."""

    number: int | None
    reason: str
    stream: Stream | None = None


class GoingDown(msgspec.Struct, frozen=True):
    """The exchange is about to close this connection."""

    reason: str


class PingReceived(msgspec.Struct, frozen=True):
    """The exchange asks by a message whether we live; `reply` is what it wants to hear."""

    reply: bytes


class Pong(msgspec.Struct, frozen=True):
    """The exchange's answer to a ping that was a message (`KeepAlive.message`)."""


Control = Acknowledged | Refused | GoingDown | PingReceived | Pong
Mapped = Data | FlawedData | Control | None
"""What a frame can mean; None for a frame that tells nothing."""
