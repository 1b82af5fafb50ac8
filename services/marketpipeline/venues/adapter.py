"""What an exchange's own modules give to ingestion, so that everything else is written once.

An exchange is an `ExchangeAdapter`: how its streams are named, routed and asked for, what a frame means (its `Mapper`),
which REST requests fill what a stream does not tell, and its limits. An adapter does no I/O and reads no clock: it
takes bytes and a time and returns values. Ingestion keeps the books, backfills, waits and connects.

What differs between exchanges is said by data that ingestion reads, never by its own code:

- **routing**: a stream names the endpoint that carries it (`Stream.endpoint`, `ExchangeAdapter.endpoints`);
- **books**: where the snapshot comes from, and by which rule changes continue each other (`BookRules`);
- **trades**: whether ids have no holes, so that missed ones can be told and fetched (`TradeIds`);
- **keep-alive**: by the protocol's ping or by a message (`KeepAlive`);
- **answers**: to a control message by its number, or to each stream (`Acknowledged`, `Refused`);
- **REST**: whatever is not offered is None, and ingestion does without.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar
from urllib.parse import urlencode

from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.records import AggTrade, Trade
from marketpipeline.registry import resolve
from marketpipeline.topics import Feed
from marketpipeline.venues import venues
from marketpipeline.venues.continuity import NONE, BookChecksum, Continuity
from marketpipeline.venues.instruments import Instruments, Volumes
from marketpipeline.venues.messages import BadRow, BookSnapshot, Mapped, Stream

__all__ = [
    "BookRules",
    "ExchangeAdapter",
    "KeepAlive",
    "Limits",
    "Mapper",
    "Page",
    "Rate",
    "RestRequest",
    "SnapshotSource",
    "StreamOptions",
    "Throttled",
    "TradeIds",
    "UnknownSymbol",
    "load_adapter",
]

T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R", Trade, AggTrade)


class Throttled(RetryableError):
    """The exchange wants no request at all for `retry_after` seconds (429, 418 and the like)."""


class UnknownSymbol(PermanentError):
    """The exchange does not list the symbol that a request names, now. It may list it later."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Which variant of a feed to ask for: the book's depth, and whether as changes or as its top levels."""

    levels: int = 20
    partial_depth: bool = False


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` in any `seconds`."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What the exchange allows.

    `control` counts every message sent on a connection, pings and pongs too; `subscriptions` those of them that ask for
    streams or end them, where they have a limit of their own. `lifetime` is how long a connection lives, in seconds.
    `connects` are attempts of one address. `rest` is a sum of requests' weights. `page` is the most trades that one
    request returns, `subscribe_batch` the most streams asked for in one message. `disorder`, in µs, is how much older
    than the newest time seen on a connection the times of what still comes may be.
    """

    control: Rate
    connects: Rate
    rest: Rate
    lifetime: float
    page: int
    subscribe_batch: int
    disorder: int
    subscriptions: Rate | None = None


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """How both sides know that a connection lives.

    `message` is what is sent as a ping and answered by what the mapper reads as `Pong`; without it the protocol's own
    ping is sent. One goes out every `every` seconds where the exchange ends a connection that is silent on our side;
    0 for an exchange that asks by itself.
    """

    message: bytes | None = None
    every: float = 0.0


class SnapshotSource(Enum):
    """Where the book comes from that changes are applied to."""

    FETCHED = "fetched over REST"
    PUSHED = "pushed by the socket, first of a subscription"
    EVERY = "every message is a whole book"


@dataclass(frozen=True, slots=True)
class BookRules:
    """How a book is kept. `checksum` makes what follows a book's own text, where the exchange sends checksums."""

    snapshot: SnapshotSource
    continuity: Continuity = NONE
    checksum: Callable[[], BookChecksum] | None = None


class TradeIds(Enum):
    """What the ids of a symbol's trades tell."""

    GAPLESS = "each is one more than the last"
    UNORDERED = "each is another, and nothing more"
    SPANS = "each spans the ids of the trades in it, from one after the last"


class Mapper(Protocol):
    """Reads frames. Pure: the same bytes and time give the same value."""

    def map(self, payload: bytes, receive_time: int) -> Mapped:
        """What one frame says. `receive_time` in µs. Raises FrameError for one that cannot be used at all."""


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Past trades in order, and the rows among them that cannot be used."""

    records: list[R]
    bad: list[BadRow]

    @property
    def rows(self) -> int:
        """How many rows the exchange gave."""
        return len(self.records) + len(self.bad)


@dataclass(frozen=True, slots=True)
class RestRequest(Generic[T_co]):
    """A GET of the exchange's REST interface and how to read its answer.

    `read` takes the body and the receive time in µs; it raises FrameError when the body is not what it should be.
    `symbol` is the one that it asks about, empty where that is none or several.
    """

    path: str
    params: tuple[tuple[str, str], ...]
    weight: int
    read: Callable[[bytes, int], T_co]
    headers: tuple[tuple[str, str], ...] = ()
    symbol: str = ""

    def address(self, base: str) -> str:
        """Where it goes, given the REST endpoint without a path."""
        query = f"?{urlencode(self.params, safe=',[]')}" if self.params else ""
        return f"{base.rstrip('/')}{self.path}{query}"


class ExchangeAdapter(ABC):
    """One exchange. Symbols are full ids (`exchange:SYMBOL`) on this side of it.

    `endpoints` are what a connection's URL is made of, by the names that streams use: each is appended to the
    settings' address, or taken whole where it is a URL itself.
    """

    limits: Limits
    endpoints: Mapping[str, str]
    keep_alive = KeepAlive()
    trade_ids = TradeIds.GAPLESS
    agg_trade_ids = TradeIds.GAPLESS

    @abstractmethod
    def streams(self, symbols: Sequence[str], feeds: Sequence[Feed], options: StreamOptions) -> list[Stream]:
        """The subscriptions for these symbols and feeds, those of one symbol side by side."""

    @abstractmethod
    def book_rules(self, options: StreamOptions) -> BookRules:
        """How books are kept from the streams of these options."""

    @abstractmethod
    def subscribe(self, number: int, streams: Sequence[Stream]) -> bytes:
        """The message that asks for streams; its answer carries `number`, or each stream has one of its own."""

    @abstractmethod
    def unsubscribe(self, number: int, streams: Sequence[Stream]) -> bytes:
        """The message that ends streams; answered like the other."""

    @abstractmethod
    def mapper(self, streams: Sequence[Stream]) -> Mapper:
        """What reads the frames of these streams."""

    def url(self, base: str, endpoint: str) -> str:
        """Where a connection of an endpoint is opened, given the address of the settings."""
        route = self.endpoints[endpoint]
        return route if "://" in route else base.rstrip("/") + route

    def server_time(self) -> RestRequest[int] | None:
        """The exchange's clock, µs."""
        return None

    def counts_contracts(self, symbol: str) -> bool:
        """Whether the exchange counts the quantities of a symbol in contracts: it is not followed before it is known
        what one stands for."""
        return False

    def instruments(self, symbols: Sequence[str] | None) -> Sequence[RestRequest[Instruments]]:
        """What is listed: requests whose answers together hold those of these symbols that exist, or all that do.

        More than these may be in them. One may be refused as a whole where the exchange only says that one of the
        symbols does not exist. Empty where it offers no list.
        """
        return ()

    def volumes(self) -> Sequence[RestRequest[Volumes]]:
        """How much of everything was traded in the last 24 hours, which `top-N` ranks by: requests whose answers
        together hold all that is listed. Empty where it offers no such list."""
        return ()

    def snapshot(self, symbol: str) -> RestRequest[BookSnapshot] | None:
        """The book of a symbol."""
        return None

    def trades(self, symbol: str, first_id: int | None, limit: int) -> RestRequest[Page[Trade]] | None:
        """Trades of a symbol from an id on, in order and marked `backfilled`; the newest ones for None."""
        return None

    def agg_trades(self, symbol: str, first_id: int | None, limit: int) -> RestRequest[Page[AggTrade]] | None:
        """The same for aggregate trades."""
        return None

    def judge(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Return for an answer that can be read; raise Throttled, RetryableError, UnknownSymbol or PermanentError."""
        if status == 429:
            raise Throttled(f"HTTP {status}")
        if status >= 500:
            raise RetryableError(f"HTTP {status}")
        if status != 200:
            raise PermanentError(f"HTTP {status}: {body[:200].decode('utf-8', 'replace')}")

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        """The weight that the exchange counted for this address in the present window, where it says so."""
        return None


def load_adapter(exchange: str) -> ExchangeAdapter:
    """The adapter of an exchange that `venues()` knows. Raises PermanentError for one that does not load."""
    venue = venues()[exchange]
    try:
        adapter = resolve(venue.adapter)
    except (ImportError, PermanentError) as error:
        raise PermanentError(f"the adapter {venue.adapter} of {venue.name} does not load: {error}") from error
    if not isinstance(adapter, ExchangeAdapter):
        raise PermanentError(f"the adapter {venue.adapter} of {venue.name} is a {type(adapter).__name__}")
    return adapter
