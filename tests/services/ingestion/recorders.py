"""What the sans-IO tests share: a publisher and a context that remember, and records made short."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from marketpipeline.errors import PermanentError
from marketpipeline.ingestion.context import Publish
from marketpipeline.ingestion.written import Written
from marketpipeline.records import FeedEvent, FeedEventKind, Heartbeat, Record, Trade
from marketpipeline.topics import Feed, TopicKind
from marketpipeline.venues.adapter import RestRequest
from marketpipeline.venues.messages import BookChange, BookSnapshot, FrameError

__all__ = [
    "SYMBOL",
    "Asked",
    "Looked",
    "RecordingContext",
    "RecordingPublisher",
    "change",
    "no_request",
    "snapshot",
    "trade",
]

SYMBOL = "exchange:BTCUSDT"


class RecordingPublisher:
    """Remembers every record, in order."""

    def __init__(self) -> None:
        self.records: list[tuple[TopicKind, Record]] = []

    def writer(self, kind: TopicKind, symbol: str) -> Publish:
        def put(record: Record) -> None:
            assert record.symbol == symbol
            self.records.append((kind, record))

        return put

    def of(self, *kinds: TopicKind) -> list[Any]:
        """The records of topics, but the heartbeats among the events."""
        alive = {id(beat) for beat in self.alive()}
        return [record for kind, record in self.records if kind in kinds and id(record) not in alive]

    def alive(self) -> list[Heartbeat]:
        """Those."""
        return [record for kind, record in self.records if kind is TopicKind.EVENTS and isinstance(record, Heartbeat)]


@dataclass
class Asked:
    request: RestRequest[Any]
    done: Callable[[Any], None]
    refused: Callable[[PermanentError], None]
    patient: bool


@dataclass
class Looked:
    feed: Feed
    after: int
    since: int
    done: Callable[[Written | None], None]


@dataclass
class RecordingContext:
    """Remembers events, dead letters, requests and, with `looks`, looks into the topics; a test answers these."""

    events: list[FeedEvent] = field(default_factory=list)
    asked: deque[Asked] = field(default_factory=deque)
    letters: list[tuple[bytes, str]] = field(default_factory=list)
    resubscribed: list[tuple[str, Feed]] = field(default_factory=list)
    unlisted_symbols: dict[str, str] = field(default_factory=dict)
    looked: deque[Looked] = field(default_factory=deque)
    looks: bool = False
    limit: int = 2**62
    wall: int = 0
    process: str = "this"

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
        self.events.append(
            FeedEvent(
                symbol=symbol, id="", kind=kind, feed=feed, event_time=event_time, receive_time=0,
                first_id=first_id, last_id=last_id, detail=detail,
            )
        )  # fmt: skip

    def look(self, symbol: str, feed: Feed, after: int, since: int, done: Callable[[Written | None], None]) -> bool:
        if self.looks:
            self.looked.append(Looked(feed, after, since, done))
        return self.looks

    def examines(self, symbol: str, feed: Feed) -> bool:
        return False

    def ask(
        self,
        request: RestRequest[Any],
        done: Callable[[Any], None],
        refused: Callable[[PermanentError], None],
        *,
        patient: bool = False,
    ) -> None:
        self.asked.append(Asked(request, done, refused, patient))

    def resubscribe(self, symbol: str, feed: Feed) -> None:
        self.resubscribed.append((symbol, feed))

    def unlisted(self, symbol: str, feed: Feed, reason: str) -> None:
        self.unlisted_symbols[symbol] = reason

    def listed(self, symbol: str) -> None:
        self.unlisted_symbols.pop(symbol, None)

    def is_ahead(self, time: int, receive_time: int) -> bool:
        return time > self.limit

    def learn_time(self, done: Callable[[], None]) -> None:
        done()

    def dead_letter(self, payload: bytes, error: FrameError, source: str) -> None:
        self.letters.append((payload, str(error)))

    def told(self) -> list[tuple[str, int | None, int | None]]:
        """The events as (kind, first id, last id)."""
        return [(event.kind, event.first_id, event.last_id) for event in self.events]


def trade(number: int, *, backfilled: bool = False, time: int | None = None) -> Trade:
    """Trade `number`, by default one a second."""
    time = number * 1_000_000 if time is None else time
    return Trade(
        symbol=SYMBOL, event_time=None if backfilled else time, trade_time=time, receive_time=0,
        trade_id=number, price=1.0, quantity=1.0, taker_side="buy", backfilled=backfilled,
    )  # fmt: skip


def change(first: int, last: int, *, bid: float = 10.0, ask: float = 11.0, time: int | None = None) -> BookChange:
    """Updates `first` to `last`, which set the best bid's quantity to `last`."""
    return BookChange(SYMBOL, last * 1000 if time is None else time, 0, first, last, [(bid, float(last))], [(ask, 1.0)])


def snapshot(last: int) -> BookSnapshot:
    """A whole book of one level a side."""
    return BookSnapshot(last, [(10.0, float(last))], [(11.0, 1.0)], bids_whole=True, asks_whole=True)


def no_request(*params: Any) -> RestRequest[Any]:
    """A request whose parameters a test can read."""
    names = ("first", "limit")
    return RestRequest("/test", tuple(zip(names, map(str, params), strict=False)), 1, lambda body, time: None)
