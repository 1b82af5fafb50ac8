"""What an exchange's own modules give to ingestion, so that everything else is written once.

An exchange is a `ExchangeAdapter`: how its streams are named and asked for, what a frame means (its `Mapper`), which
REST requests fill what a stream does not tell, and its limits. A adapter does no I/O and reads no clock: it
takes bytes and a time and returns values. The ingestion service keeps the books, backfills, waits and connects.

Two rules are the exchanges' common ground and are applied by ingestion, not by a adapter:

- a change of the book continues the one before when `first_id <= last id + 1 <= last_id`;
- trades of a symbol have ids without holes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

from marketpipeline.errors import MarketPipelineError, RetryableError
from marketpipeline.records import AggTrade, Book, ExchangeCandle, Level, Quote, Ticker, Trade
from marketpipeline.topics import Feed

__all__ = [
    "Acknowledged",
    "BookChange",
    "BookSnapshot",
    "Control",
    "ExchangeAdapter",
    "FrameError",
    "GoingDown",
    "Limits",
    "Mapped",
    "Mapper",
    "MarketData",
    "Refused",
    "RestRequest",
    "Stream",
    "StreamOptions",
    "Throttled",
    "load_adapter",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class FrameError(MarketPipelineError):
    """A frame that does not parse or does not make sense; it becomes a dead letter. `symbol` is empty when unknown."""

    def __init__(self, message: str, symbol: str = "") -> None:
        super().__init__(message)
        self.symbol = symbol


class Throttled(RetryableError):
    """The exchange wants no request at all for `retry_after` seconds (its 429 and 418)."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One subscription. `name` is the exchange's own; `symbol` is `exchange:SYMBOL`."""

    name: str
    symbol: str
    feed: Feed


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Which variant of a feed to ask for: the book's depth, and whether as changes or as its top levels."""

    levels: int = 20
    partial_depth: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What the exchange allows.

    `control_per_second` counts every message sent on a connection, pings and pongs too. `lifetime` is how
    long a connection lives, in seconds. `connects` attempts are allowed in `connects_window` seconds.
    `rest_weight` is the sum of weights in a minute. `page` is the most trades that one request returns,
    `subscribe_batch` the most streams asked for in one message. `disorder`, in µs, is how much older than the
    newest time seen on a connection the times of what still comes may be.
    """

    control_per_second: int
    lifetime: float
    connects: int
    connects_window: float
    rest_weight: int
    page: int
    subscribe_batch: int
    disorder: int


class BookChange(msgspec.Struct, frozen=True, gc=False):
    """Levels that changed by the updates `first_id` to `last_id`, both inclusive; quantity 0 removes a level."""

    symbol: str
    event_time: int | None
    receive_time: int
    first_id: int
    last_id: int
    bids: list[Level]
    asks: list[Level]


class BookSnapshot(msgspec.Struct, frozen=True, gc=False):
    """The book after update `last_id`, best levels first.

    A side is whole when no level lies beyond those given; else what lies beyond is not known.
    """

    last_id: int
    bids: list[Level]
    asks: list[Level]
    bids_whole: bool
    asks_whole: bool


class Acknowledged(msgspec.Struct, frozen=True):
    """The answer to control message `number`: it was accepted."""

    number: int


class Refused(msgspec.Struct, frozen=True):
    """The answer to control message `number` (None where it names none): it was not."""

    number: int | None
    reason: str


class GoingDown(msgspec.Struct, frozen=True):
    """The exchange is about to close this connection."""

    reason: str


Control = Acknowledged | Refused | GoingDown
MarketData = Trade | AggTrade | Book | BookChange | Quote | Ticker | ExchangeCandle
Mapped = MarketData | Control | None
"""What a frame can mean; None for a frame that tells nothing."""


class Mapper(Protocol):
    """Reads frames. Pure: the same bytes and time give the same value."""

    def map(self, payload: bytes, receive_time: int) -> Mapped:
        """What one frame says. `receive_time` in µs. Raises FrameError for one that cannot be used."""


@dataclass(frozen=True, slots=True)
class RestRequest(Generic[T_co]):
    """A GET of the exchange's REST interface and how to read its answer.

    `read` takes the body and the receive time in µs; it raises FrameError when the body is not what it should be.
    """

    path: str
    params: tuple[tuple[str, str], ...]
    weight: int
    read: Callable[[bytes, int], T_co]
    headers: tuple[tuple[str, str], ...] = ()


class ExchangeAdapter(Protocol):
    """One exchange. Symbols are full ids (`exchange:SYMBOL`) on this side of it."""

    limits: Limits

    def streams(self, symbols: Sequence[str], feeds: Sequence[Feed], options: StreamOptions) -> list[Stream]:
        """The subscriptions for these symbols and feeds, those of one symbol side by side."""

    def url(self, base: str) -> str:
        """Where a connection is opened, given the endpoint of the settings."""

    def subscribe(self, number: int, streams: Sequence[str]) -> bytes:
        """The message that asks for streams by name; its answer carries `number`."""

    def unsubscribe(self, number: int, streams: Sequence[str]) -> bytes:
        """The message that ends streams by name; its answer carries `number`."""

    def mapper(self, streams: Sequence[Stream]) -> Mapper:
        """What reads the frames of these streams."""

    def server_time(self) -> RestRequest[int]:
        """The exchange's clock, µs."""

    def listed(self, symbols: Sequence[str]) -> RestRequest[frozenset[str]]:
        """Which of these symbols exist; refused as a whole where the exchange only says that one of them does not."""

    def listing(self) -> RestRequest[frozenset[str]]:
        """Every symbol that exists."""

    def snapshot(self, symbol: str) -> RestRequest[BookSnapshot]:
        """The book of a symbol."""

    def trades(self, symbol: str, first_id: int | None, limit: int) -> RestRequest[list[Trade]]:
        """Trades of a symbol from an id on, in order and marked `backfilled`; the newest ones for None."""

    def agg_trades(self, symbol: str, first_id: int | None, limit: int) -> RestRequest[list[AggTrade]]:
        """The same for aggregate trades."""

    def judge(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Return for an answer that can be read; raise Throttled, RetryableError or PermanentError for others."""

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        """The weight that the exchange counted for this address in the last minute, where it says so."""


def load_adapter(exchange: str) -> ExchangeAdapter:
    """The adapter of an exchange that `venues()` knows."""
    module = importlib.import_module(f"marketpipeline.venues.{exchange}.adapter")
    adapter: ExchangeAdapter = module.ADAPTER
    return adapter
