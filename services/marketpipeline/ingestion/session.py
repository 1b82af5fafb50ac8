"""What one ingestion process does with an exchange, without doing it: events in, commands and records out.

Events are a tick of the clock, the life of a connection, a frame, a REST answer, pressure of the broker. Commands
(`context`) are collected in `commands` and carried out by whoever drives the session. Records go to the publisher in
order. Everything here can be driven by a test at any speed.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import TypeVar

import msgspec

from marketpipeline.backoff import Backoff
from marketpipeline.errors import PermanentError
from marketpipeline.ingestion.assignment import share_out
from marketpipeline.ingestion.clock import ExchangeClock
from marketpipeline.ingestion.connection import Connection
from marketpipeline.ingestion.connection_manager import ConnectionManager
from marketpipeline.ingestion.context import Command, OpenConnection, Publish, Publisher, StreamHandler, feed_event_id
from marketpipeline.ingestion.examiner import Examiner
from marketpipeline.ingestion.handlers import Delivered, make_handler
from marketpipeline.ingestion.latency import Latencies
from marketpipeline.ingestion.pacing import Window
from marketpipeline.ingestion.rate_limiter import RateLimiter
from marketpipeline.ingestion.raw import RawFrames, Tap
from marketpipeline.ingestion.search import Search
from marketpipeline.ingestion.symbol_validation import UNSIZED
from marketpipeline.ingestion.written import Written
from marketpipeline.records import DeadLetter, FeedEvent, FeedEventKind, Heartbeat, as_text
from marketpipeline.settings import IngestionSettings
from marketpipeline.topics import Feed, TopicKind
from marketpipeline.venues.adapter import ExchangeAdapter, RestRequest, StreamOptions
from marketpipeline.venues.instruments import Instrument, Instruments
from marketpipeline.venues.messages import FrameError, Stream

__all__ = ["RELIST_AFTER", "Session"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

RELIST_AFTER = 600.0
"""Seconds until the exchange is asked again for symbols that it does not list."""
LOOK_EVERY = 0.5
"""Seconds between two looks at what was handed on and what lives."""
ALIVE_EVERY = 60.0
"""Seconds between two heartbeats of a symbol beside its feeds."""
CLOCK_EVERY = 60.0
"""Seconds between two measurements of the difference to its clock."""


class Session:
    """`symbols` are full ids. `delivered` is what the topics hold already. `max_streams` bounds a connection.

    `process` is what others know this one by. `looks_since` is when `delivered` was read, in µs: then the topics are
    asked (`Look`) before something is said to be missing. Without it this process counts as the only one.

    `instruments` are those of the symbols. `absent` are symbols that cannot be followed, and why: the exchange is asked
    for these every so often, and they are followed from then on.
    """

    def __init__(
        self,
        settings: IngestionSettings,
        symbols: Sequence[str],
        adapter: ExchangeAdapter,
        publisher: Publisher,
        *,
        max_streams: int,
        delivered: Delivered | None = None,
        instruments: Instruments | None = None,
        absent: Mapping[str, str] | None = None,
        random: Random | None = None,
        process: str = "",
        looks_since: int | None = None,
    ) -> None:
        self.process = process
        self.examiner = Examiner(self._emit, self._tell)
        self._looks = looks_since is not None
        self._created = looks_since or 0
        self._joined: set[Stream] = set()
        self.has_synced = False
        self.commands: list[Command] = []
        self.wall = 0
        self.paused = False
        self.dead_letters = 0
        self.events: Counter[str] = Counter()
        self.symbols = list(symbols)
        self._settings = settings
        self._adapter = adapter
        self._publisher = publisher
        self._random = random or Random()
        self._writers: dict[tuple[TopicKind, str], Publish] = {}
        self._connections: dict[int, Connection] = {}
        self._connection_number = 0
        self._frames_before = 0
        self._bytes_before = 0
        self._now = 0.0
        self.unlisted_symbols: dict[str, str] = {}
        self._unlisted_seen: dict[str, int] = {}
        self.exchange_clock = ExchangeClock(settings.max_ahead_ms * 1000, settings.max_behind_ms * 1000)
        self.latencies = Latencies()
        self._look_at = 0.0
        self._alive: dict[str, tuple[float, int]] = {}
        self._ask_clock_at: float | None = None
        self.limiter = RateLimiter(adapter, self.commands.append, self.dead_letter, self._random)
        self._max_streams = max_streams
        self._delivered = delivered or Delivered()
        self._instruments = dict(instruments or {})
        self.absent = dict(absent or {}) | {symbol: UNSIZED for symbol in symbols if not self._is_sized(symbol)}
        self._ask_absent_at: float | None = None
        self._connects = Window(adapter.limits.connects.count, adapter.limits.connects.seconds)
        self._raw: RawFrames | None = None
        if Feed.RAW in settings.feeds:
            self._raw = RawFrames(settings.exchange, process, settings.rest_url, publisher.writer)
            self.limiter.keep = self._raw.answer
        self._taps: dict[int, Tap] = {}
        self._mapper = adapter.mapper([])
        self.handlers: dict[Stream, StreamHandler] = {}
        self.managers: list[ConnectionManager] = []
        self.search = Search(lambda: self.managers, self._places, self._look_at_place, self._move, at_most=max_streams)
        self.moved: dict[Stream, str] = {}
        self._admit([symbol for symbol in symbols if symbol not in self.absent])

    # what happens

    def tick(self, now: float, wall: int) -> None:
        """Time is `now` (monotonic seconds) and `wall` (µs since the epoch). To be called some 20 times a second."""
        self._now, self.wall = now, wall
        if self.paused:
            return
        for symbol in [symbol for symbol, seen in self._unlisted_seen.items() if self._seen(symbol) > seen]:
            self.listed(symbol)
        if self._ask_absent_at is None or now >= self._ask_absent_at:
            asks, self._ask_absent_at = self._ask_absent_at is not None, now + RELIST_AFTER
            if asks:
                self._ask_absent()
        for manager in self.managers:
            manager.tick(now)
        self.search.tick(now)
        for handler in self.handlers.values():
            handler.tick(now)
        self.limiter.tick(now)
        self.examiner.tick(now)
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            self.latencies.look(now, self.handlers)
            self._tell_alive(now)
            self._ask_clock(now)
        self.has_synced = self.has_synced or self.in_sync
        if self._looks and len(self._joined) < len(self.handlers):
            self._join()

    def leave(self) -> None:
        """The process was told to stop: say where it ends, and ask a last time for what seems to be missing."""
        for handler in self.handlers.values():
            handler.leave()
        for stream in self._joined:
            if self.handlers[stream].beats:
                self.event("left", stream.symbol, stream.feed, last_id=self.handlers[stream].last_id)
        self.examiner.give_up()

    def connection(self, number: int) -> Connection | None:
        """A connection that a command spoke of. None when it is gone."""
        return self._connections.get(number)

    def taker(self, number: int) -> Callable[[bytes, int], None] | None:
        """What takes the frames of a connection. None when it is gone."""
        connection = self._connections.get(number)
        tap = self._taps.get(number)
        return tap.take if tap is not None else None if connection is None else connection.frame

    def connected(self, number: int, now: float) -> None:
        """A connection was opened."""
        if (connection := self._connections.get(number)) is not None:
            connection.connected(now)

    def closed(self, number: int, reason: str) -> None:
        """A connection ended or could not be opened."""
        connection = self._connections.pop(number, None)
        self._taps.pop(number, None)
        if connection is None:
            return
        self._frames_before += connection.frames
        self._bytes_before += connection.bytes
        connection.gone = True
        for manager in self.managers:
            if connection in manager.connections:
                manager.closed(connection, reason)

    def pressed(self, paused: bool, now: float) -> None:
        """The broker does not keep up and nothing is read, or it does again."""
        self.paused = self.limiter.paused = paused
        if not paused:
            for manager in self.managers:
                manager.excuse(now)
            if (searching := self.search.connection) is not None:
                searching.excuse(now)

    # what the handlers ask for (Context)

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
        record = FeedEvent(
            symbol=symbol,
            id="",
            kind=kind,
            feed=str(feed),
            event_time=event_time,
            receive_time=self.wall,
            first_id=first_id,
            last_id=last_id,
            detail=detail,
            process=self.process,
        )
        if kind == "gap" and first_id is not None and last_id is not None and self._looks:
            self.examiner.doubt(record, self._whole_at(symbol, feed))
        else:
            self._tell(record)

    def look(self, symbol: str, feed: Feed, after: int, since: int, done: Callable[[Written | None], None]) -> bool:
        """Have the topic read, where somebody does."""
        if self._looks:
            self.examiner.look(symbol, feed, after, since, done)
        return self._looks

    def examines(self, symbol: str, feed: Feed) -> bool:
        """Whether it is not known yet whether a gap of this feed is one."""
        return self.examiner.examines(symbol, feed)

    def ask(
        self,
        request: RestRequest[T],
        done: Callable[[T], None],
        refused: Callable[[PermanentError], None],
        *,
        patient: bool = False,
    ) -> None:
        """Send a request when the limits allow it."""
        self.limiter.ask(request, done, refused, patient=patient)

    def resubscribe(self, symbol: str, feed: Feed) -> None:
        """End a stream and ask for it again."""
        for manager in self.managers:
            manager.resubscribe(symbol, feed)

    def unlisted(self, symbol: str, feed: Feed, reason: str) -> None:
        """The exchange does not list a symbol: told once, until it does again."""
        if symbol not in self.unlisted_symbols:
            _log.warning("the exchange does not list it: %s", reason, extra={"symbol": symbol})
            self.event("rejected", symbol, feed, detail=reason)
        self.unlisted_symbols[symbol] = reason
        self._unlisted_seen[symbol] = self._seen(symbol)

    def listed(self, symbol: str) -> None:
        """The exchange gives data of a symbol."""
        self.unlisted_symbols.pop(symbol, None)
        self._unlisted_seen.pop(symbol, None)

    def is_ahead(self, time: int, receive_time: int) -> bool:
        """Whether a time is implausibly far ahead of the exchange's clock."""
        return time - receive_time > self.exchange_clock.limit

    def learn_time(self, done: Callable[[], None]) -> None:
        """Ask the exchange for its clock; `done` is called when it has told it, or does not tell it."""

        def told(server_time: int) -> None:
            self.exchange_clock.told(server_time, self.wall)
            done()

        request = self._adapter.server_time()
        if request is None:
            done()
        else:
            self.limiter.ask(request, told, lambda error: done())

    def dead_letter(self, payload: bytes, error: FrameError, source: str) -> None:
        """Keep input that cannot be used."""
        self.dead_letters += 1
        _log.warning("dead letter: %s", error, extra={"symbol": error.symbol, "source": source})
        where = f"{self._settings.exchange}: {source}"
        self._writer(TopicKind.DEAD_LETTERS, error.symbol)(_dead_letter(payload, error, where, self.wall))

    # what it shows

    @property
    def frames(self) -> int:
        """Frames read, ever."""
        return self._frames_before + sum(connection.frames for connection in list(self._connections.values()))

    @property
    def bytes(self) -> int:
        """Bytes of those."""
        return self._bytes_before + sum(connection.bytes for connection in list(self._connections.values()))

    @property
    def ready_connections(self) -> int:
        """Connections whose streams are all subscribed."""
        return sum(manager.active is not None for manager in self.managers)

    @property
    def reconnects(self) -> int:
        """How often a connection was opened in place of one that had ended."""
        return sum(manager.reconnects for manager in self.managers)

    @property
    def books(self) -> tuple[int, int]:
        """How many books are in sync, and of how many."""
        found = [handler for stream, handler in self.handlers.items() if stream.feed is Feed.BOOK]
        return sum(handler.connected and not handler.pending for handler in found), len(found)

    @property
    def started(self) -> bool:
        """Whether every stream has been subscribed once."""
        return all(manager.started for manager in self.managers)

    @property
    def synced_through(self) -> int:
        """The exchange's time, µs, up to which everything it sent was received; 0 for not yet."""
        return min((manager.synced_through for manager in self.managers), default=0)

    @property
    def pending(self) -> int:
        """Feeds of a symbol that are being backfilled or synchronised; none of one that is off the exchange's list.

        A gap that is looked into counts as one.
        """
        unlisted = self.unlisted_symbols
        handlers = (handler for handler in self.handlers.values() if handler.symbol not in unlisted)
        return self.examiner.open + sum(handler.pending for handler in handlers)

    @property
    def in_sync(self) -> bool:
        """Whether it writes all that comes, of every symbol: what another process writes too is not needed any more."""
        return self.started and self.ready_connections == len(self.managers) and not self.pending

    def symbol_states(self) -> Mapping[str, Mapping[str, object]]:
        """Each symbol's feeds."""
        states: defaultdict[str, dict[str, object]] = defaultdict(dict)
        for stream, handler in self.handlers.items():
            states[stream.symbol][stream.feed] = handler.state()
        return states

    def _tell_alive(self, now: float) -> None:
        """Once a minute a heartbeat of each symbol whose every feed lives, on the topic that all stores read: those of
        the feeds travel with records that a store may have no place for."""
        through: dict[str, int] = {}
        for manager in self.managers:
            dead = {stream.symbol for stream in (*manager.stale, *manager.rejected)}
            for symbol in manager.symbols:
                until = 0 if symbol in dead else manager.synced_through
                through[symbol] = min(until, through.get(symbol, until))
        for handler in self.handlers.values():
            if not handler.complete:
                through[handler.symbol] = 0
        for symbol, time in through.items():
            due, told = self._alive.get(symbol, (0.0, 0))
            if now >= due and time > told:
                self._alive[symbol] = (now + ALIVE_EVERY, time)
                beat = Heartbeat(symbol=symbol, event_time=time, receive_time=self.wall, process=self.process)
                self._writer(TopicKind.EVENTS, symbol)(beat)

    def _ask_clock(self, now: float) -> None:
        """Ask the exchange for its time every so often, when nothing else is to be asked."""
        if self._ask_clock_at is None or now >= self._ask_clock_at:
            asks, self._ask_clock_at = self._ask_clock_at is not None, now + CLOCK_EVERY
            request = self._adapter.server_time() if asks else None
            if request is not None:
                self.limiter.ask(request, self._take_clock, lambda error: None, patient=True)

    def _take_clock(self, server_time: int) -> None:
        self.latencies.measured(server_time, *self.limiter.trip, self._now)

    def _seen(self, symbol: str) -> int:
        """How much came on the streams of a symbol."""
        return sum(handler.seen for stream, handler in self.handlers.items() if stream.symbol == symbol)

    def _join(self) -> None:
        """Say of each feed once from where on this process writes all of it."""
        for stream, handler in self.handlers.items():
            if stream not in self._joined and handler.connected and not handler.pending:
                self._joined.add(stream)
                if handler.beats:
                    time = getattr(handler.last, "event_time", None)
                    self.event("joined", stream.symbol, stream.feed, event_time=time, first_id=handler.last_id)

    def _tell(self, event: FeedEvent) -> None:
        """Write an event. Its id follows from what it says; of a process, also from that."""
        self.events[event.kind] += 1
        if event.kind == "gap":
            ids, where = (event.first_id, event.last_id), {"symbol": event.symbol}
            _log.warning("%s %s to %s are missing: %s", event.feed, *ids, event.detail or "not received", extra=where)
        name = feed_event_id(event.kind, event.symbol, event.feed, event.first_id, event.last_id, event.receive_time)
        if event.kind in ("joined", "left"):
            name = f"{name}:{self.process}"
        self._writer(TopicKind.EVENTS, event.symbol)(msgspec.structs.replace(event, id=name))

    def _emit(self, command: Command) -> None:
        self.commands.append(command)

    def _whole_at(self, symbol: str, feed: str) -> int:
        found = [
            handler.whole_at for handler in self.handlers.values() if (handler.symbol, handler.feed) == (symbol, feed)
        ]
        return min(found, default=self._created)

    def _writer(self, kind: TopicKind, symbol: str) -> Publish:
        publish = self._writers.get((kind, symbol))
        if publish is None:
            publish = self._writers[kind, symbol] = self._publisher.writer(kind, symbol)
        return publish

    def _is_sized(self, symbol: str) -> bool:
        """Whether its quantities can be told in base units."""
        known = self._instruments.get(symbol, Instrument()).contract is not None
        return known or not self._adapter.counts_contracts(symbol)

    def _admit(self, symbols: Sequence[str]) -> None:
        """Follow symbols, by connections of their own. What others look at is replaced, never changed."""
        settings, adapter = self._settings, self._adapter
        options = StreamOptions(settings.levels, settings.partial_depth)
        feeds = [feed for feed in settings.feeds if feed is not Feed.RAW]
        streams = adapter.streams(symbols, feeds, options)
        handlers = {
            stream: make_handler(
                stream,
                settings,
                adapter,
                self,
                self._writer,
                self._delivered,
                self._instruments.get(stream.symbol, Instrument()),
            )
            for stream in streams
        }
        for handler in handlers.values():
            handler.whole_at = self._created
        self.handlers = self.handlers | handlers
        self._mapper = adapter.mapper(list(self.handlers))
        managers = [
            self._make_manager(part, [adapter.url(base, endpoint) for base in self._addresses], self._connects)
            for endpoint in dict.fromkeys(stream.endpoint for stream in streams)
            for part in share_out([stream for stream in streams if stream.endpoint == endpoint], self._max_streams)
        ]
        self.managers = [*self.managers, *managers]

    def _ask_absent(self) -> None:
        """Ask the exchange for the symbols that it did not know, and those whose streams it refused."""
        sought = sorted(
            self.absent.keys() | {stream.symbol for manager in self.managers for stream in manager.rejected}
        )
        if not sought:
            return

        def refused(error: PermanentError) -> None:
            for request in self._adapter.instruments(None) if len(sought) > 1 else ():
                self.limiter.ask(request, self._take_listed, lambda error: None, patient=True)

        for request in self._adapter.instruments(sought):
            self.limiter.ask(request, self._take_listed, refused, patient=True)

    def _take_listed(self, instruments: Instruments) -> None:
        """The exchange lists these: follow the absent among them, and ask again for streams that it refused."""
        listed = [symbol for symbol in self.absent if symbol in instruments]
        self._instruments |= {symbol: instruments[symbol] for symbol in listed}
        listed = [symbol for symbol in listed if self._is_sized(symbol)]
        self.absent = {symbol: why for symbol, why in self.absent.items() if symbol not in listed}
        for symbol in listed:
            _log.info("the exchange lists it now", extra={"symbol": symbol})
            self.event("recovered", symbol, "connection", detail="the exchange lists it")
        if listed:
            self._admit(listed)
        for manager in self.managers:
            manager.readmit(instruments.keys())

    def _places(self, stream: Stream) -> list[str]:
        """Where a stream may be carried, by what is documented and set: its endpoint and the others of each address."""
        adapter = self._adapter
        endpoints = dict.fromkeys((stream.endpoint, *adapter.endpoints))
        urls = [adapter.url(base, endpoint) for base in self._addresses for endpoint in endpoints]
        return list(dict.fromkeys(urls))

    @property
    def _addresses(self) -> list[str]:
        return [self._settings.websocket_url, *self._settings.websocket_fallbacks]

    def _look_at_place(
        self, place: str, streams: Sequence[Stream], handlers: Mapping[Stream, StreamHandler]
    ) -> Connection | None:
        if not self._connects.take(self._now):
            return None
        connection = self._make_connection(streams, self._now, handlers)
        connection.refusals = logging.INFO
        self._emit(OpenConnection(connection.number, place))
        return connection

    def _move(self, home: ConnectionManager, place: str, streams: Sequence[Stream], connection: Connection) -> None:
        """Streams speak at another place: that is where they are followed from now on."""
        left = home.url
        others = [url for url in self._places(streams[0]) if url != place]
        shared = [url for url in others if all(url in self._places(stream) for stream in streams)]
        manager = self._make_manager(streams, [place, *shared], self._connects)
        home.release(streams)
        connection.refusals = logging.ERROR
        manager.adopt(connection, self._now)
        self.managers = [*(one for one in self.managers if one.handlers), manager]
        self.moved = self.moved | dict.fromkeys(streams, place)
        for stream in streams:
            detail = f"it speaks at {place}, and not at {left}"
            _log.warning("%s has moved: %s", stream.name, detail, extra={"symbol": stream.symbol})
            self.event("moved", stream.symbol, stream.feed, detail=detail)

    def _make_manager(self, streams: Iterable[Stream], urls: Sequence[str], connects: Window) -> ConnectionManager:
        settings, subscriptions = self._settings, self._adapter.limits.subscriptions
        backoff = Backoff(settings.backoff_initial_ms / 1000, settings.backoff_max_ms / 1000, random=self._random)
        return ConnectionManager(
            {stream: self.handlers[stream] for stream in streams},
            urls,
            self._make_connection,
            self,
            self.commands.append,
            lambda: self.wall,
            backoff,
            connects,
            lifetime=self._adapter.limits.lifetime * self._random.uniform(0.96, 0.99),
            stable_after=settings.stable_after_ms / 1000,
            stale_after=settings.stale_after_ms / 1000,
            disorder=self._adapter.limits.disorder,
            ask_every=0.0 if subscriptions is None else 2 * subscriptions.seconds / subscriptions.count,
            exchange_now=lambda: self.wall + self.exchange_clock.offset if self.exchange_clock.known else 0,
        )

    def _make_connection(
        self, streams: Sequence[Stream], now: float, handlers: Mapping[Stream, StreamHandler] | None = None
    ) -> Connection:
        self._connection_number += 1
        tap = None if self._raw is None else self._raw.tap(self._connection_number, self._mapper)
        connection = Connection(
            self._connection_number,
            streams,
            self._adapter,
            tap or self._mapper,
            self.handlers if handlers is None else handlers,
            self.exchange_clock,
            self,
            self.commands.append,
            now,
        )
        self._connections[connection.number] = connection
        if tap is not None:
            tap.connect(connection.frame)
            self._taps[connection.number] = tap
        return connection


def _dead_letter(payload: bytes, error: FrameError, source: str, ingestion_time: int) -> DeadLetter:
    """The payload whole."""
    text, encoding = as_text(payload)
    return DeadLetter(
        symbol=error.symbol,
        payload=text,
        encoding=encoding,
        error=str(error),
        source=source,
        ingestion_time=ingestion_time,
    )
