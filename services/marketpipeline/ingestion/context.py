"""The vocabulary of the sans-IO side: commands to the outside, what a stream handler is, and what it may ask for.

A handler sees every record of its stream, from whichever connection. It drops what came before, and knows what is
missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from marketpipeline.errors import PermanentError
from marketpipeline.ingestion.written import Written
from marketpipeline.records import FeedEventKind, Heartbeat
from marketpipeline.topics import Feed, TopicKind
from marketpipeline.venues.adapter import RestRequest
from marketpipeline.venues.messages import FrameError

__all__ = [
    "CloseConnection",
    "Command",
    "Context",
    "Get",
    "Look",
    "OpenConnection",
    "Ping",
    "Publish",
    "Publisher",
    "Send",
    "StreamHandler",
    "feed_event_id",
]

T = TypeVar("T")

Publish = Callable[[Any], None]
"""Hands a record to the broker's client; it never blocks and never drops."""


class Publisher(Protocol):
    """Where records go."""

    def writer(self, kind: TopicKind, symbol: str) -> Publish:
        """What writes records of one symbol to one topic, in order."""


class Context(Protocol):
    """What a handler may ask for. `wall` is our clock, µs, `process` what others know this process by."""

    wall: int
    process: str

    def event(
        self,
        kind: FeedEventKind,
        symbol: str,
        feed: str,
        *,
        event_time: int | None = None,
        first_id: int | None = None,
        last_id: int | None = None,
        detail: str = "",
    ) -> None:
        """Write down what happened to a feed."""

    def ask(
        self,
        request: RestRequest[T],
        done: Callable[[T], None],
        refused: Callable[[PermanentError], None],
        *,
        patient: bool = False,
    ) -> None:
        """Send a request when the limits allow it. Just one of `done` and `refused` (for good) is called, later.

        A patient one is sent only while no other waits.
        """

    def resubscribe(self, symbol: str, feed: Feed) -> None:
        """End a stream and ask for it again: an exchange that pushes snapshots then pushes one."""

    def unlisted(self, symbol: str, feed: Feed, reason: str) -> None:
        """The exchange says that it does not list a symbol now."""

    def listed(self, symbol: str) -> None:
        """The exchange gives data of a symbol."""

    def is_ahead(self, time: int, receive_time: int) -> bool:
        """Whether a time, µs, is implausibly far ahead of the exchange's clock."""

    def learn_time(self, done: Callable[[], None]) -> None:
        """Ask the exchange for its clock; `done` is called when it has told it, or does not tell it."""

    def dead_letter(self, payload: bytes, error: FrameError, source: str) -> None:
        """Keep input that cannot be used."""

    def look(self, symbol: str, feed: Feed, after: int, since: int, done: Callable[[Written | None], None]) -> bool:
        """Learn what the topic holds after an id, whoever wrote it; up to that all was there at `since`, µs.

        `done` is called later, with None where it cannot be known. False: nobody looks here, and it is not called.
        """

    def examines(self, symbol: str, feed: Feed) -> bool:
        """Whether something seems to be missing, and it is not known yet whether another process has written it."""


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """Open connection `connection` to `url`."""

    connection: int
    url: str


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Close connection `connection`."""

    connection: int
    reason: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send a text message."""

    connection: int
    message: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """Send a ping whose pong is to be reported."""

    connection: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Get:
    """Send a REST request; its answer is reported under `call`."""

    call: int
    request: RestRequest[Any]


@dataclass(frozen=True, slots=True)
class Look:
    """Read what the topic of a feed holds of a symbol after the id `after`, which was there at `since`, µs."""

    call: int
    symbol: str
    feed: Feed
    after: int
    since: int


Command = OpenConnection | CloseConnection | Send | Ping | Get | Look


def feed_event_id(kind: str, symbol: str, feed: str, first: int | None, last: int | None, time: int) -> str:
    """An id that follows from the content: by the ids it speaks of, or by the time where it speaks of none."""
    place = f"{first}-{last}" if first is not None else str(time)
    return f"{kind}:{symbol}:{feed}:{place}"


class StreamHandler:
    """Base of the stream handlers: the records of one symbol and feed, between the mapper and the broker.

    `seen` counts what came on the stream, `duplicates` what of it was dropped, `nothing` what told nothing, by reason.
    `last` is the newest record handed on, `whole_at` our time, µs, when everything had been handed on last. `pending`
    says that something missing is being fetched; `complete` that everything up to now was handed on, so that a
    heartbeat may promise it.
    """

    beats = False
    """Whether heartbeats go into this handler's topic."""

    def __init__(self, symbol: str, feed: Feed, publish: Publish) -> None:
        self.symbol = symbol
        self.feed = feed
        self.publish = publish
        self.seen = 0
        self.duplicates = 0
        self.nothing: Counter[str] = Counter()
        self.connected = False
        self.whole_at = 0
        self.last: Any = None

    @property
    def pending(self) -> bool:
        """Whether something missing is being fetched."""
        return False

    @property
    def complete(self) -> bool:
        """Whether a heartbeat may be sent."""
        return self.connected and not self.pending

    @property
    def last_id(self) -> int | None:
        """The exchange's id of the newest record handed on, where the feed has ids."""
        return None

    def accept(self, record: Any) -> None:
        """Take one record of the stream. Raises FrameError for one that makes no sense here."""
        raise NotImplementedError

    def skip(self, number: int | None) -> None:
        """What came cannot be used and was kept as a dead letter; `number` is its trade id, where it has one."""
        self.seen += 1

    def miss(self, record: Any) -> None:
        """A record that was not accepted, as its time cannot be: what it tells has not been handed on."""

    def pause(self) -> None:
        """The stream is ended, to be asked for again at once."""

    def unpause(self) -> None:
        """It is subscribed again."""

    def tell_nothing(self, reason: str) -> None:
        """What came is right and tells nothing, as a quote of a book with one side does."""
        self.seen += 1
        self.nothing[reason] += 1

    def resume(self) -> None:
        """The stream is subscribed on a new connection: nothing sent from now on is missed."""
        self.connected = True

    def interrupt(self) -> None:
        """The stream is lost."""
        self.connected = False

    def leave(self) -> None:
        """The process is about to end: write what is ready to be written."""

    @property
    def deaf(self) -> bool:
        """Whether the stream was seen to have said nothing of what happened."""
        return False

    def doubt(self) -> None:
        """The stream has been silent for unusually long: find out by other means whether something was missed."""

    def tick(self, now: float) -> None:
        """Time has passed; `now` in monotonic seconds."""

    def beat(self, heartbeat: Heartbeat) -> None:
        """Write a heartbeat if it is true here."""
        if self.complete:
            self.publish(heartbeat)

    def state(self) -> dict[str, object]:
        """For `/health`."""
        time = getattr(self.last, "trade_time", None) or getattr(self.last, "event_time", None)
        return {
            "connected": self.connected,
            "pending": self.pending,
            "seen": self.seen,
            "duplicates": self.duplicates,
            "nothing": dict(self.nothing),
            "last_id": self.last_id,
            "last_event_time": time,
        }
