"""What one ingestion process does with an exchange, without doing it: events in, commands and records out.

Events are a tick of the clock, the life of a connection, a frame, a REST answer, pressure of the broker. Commands
(`desk`) are collected in `commands` and carried out by whoever drives the session. Records go to the outlet in
order. Everything here can be driven by a test at any speed.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

from marketpipeline.ingestion.assignment import share_out
from marketpipeline.ingestion.deadletters import dead_letter
from marketpipeline.ingestion.desk import Command, Outlet, Put, feed_event_id
from marketpipeline.ingestion.gate import RestGate
from marketpipeline.ingestion.lane import Lane
from marketpipeline.ingestion.lanes import Memory, make_lane, record_type
from marketpipeline.ingestion.link import Link
from marketpipeline.ingestion.pacing import Backoff, Window
from marketpipeline.ingestion.shard import Shard
from marketpipeline.records import FeedEvent, FeedEventKind
from marketpipeline.settings import IngestionSettings
from marketpipeline.topics import TopicKind
from marketpipeline.venues.dialect import Dialect, FrameError, RestRequest, Stream, StreamOptions

__all__ = ["Session"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Session:
    """`symbols` are full ids. `memory` is what the topics hold already. `max_streams` bounds a connection."""

    def __init__(
        self,
        settings: IngestionSettings,
        symbols: Sequence[str],
        dialect: Dialect,
        outlet: Outlet,
        *,
        max_streams: int,
        memory: Memory | None = None,
        random: Random | None = None,
    ) -> None:
        self.commands: list[Command] = []
        self.wall = 0
        self.paused = False
        self.dead_letters = 0
        self.events: Counter[str] = Counter()
        self.symbols = list(symbols)
        self._settings = settings
        self._dialect = dialect
        self._outlet = outlet
        self._random = random or Random()
        self._puts: dict[tuple[TopicKind, str], Put] = {}
        self._links: dict[int, Link] = {}
        self._link_number = 0
        self._frames_before = 0
        self._bytes_before = 0
        self._now = 0.0
        self.gate = RestGate(dialect, self.commands.append, self.dead_letter, self._random)
        streams = dialect.streams(symbols, settings.feeds, StreamOptions(settings.levels, settings.partial_depth))
        self._mapper = dialect.mapper(streams)
        self.lanes: dict[Stream, Lane] = {
            stream: make_lane(stream, settings, dialect, self, self._put, memory or Memory()) for stream in streams
        }
        accept: defaultdict[type, dict[str, Callable[[Any], None]]] = defaultdict(dict)
        for stream, lane in self.lanes.items():
            accept[record_type(stream.feed, settings)][stream.symbol] = lane.accept
        self._accept = dict(accept)
        connects = Window(dialect.limits.connects, dialect.limits.connects_window)
        self.shards = [self._make_shard(part, connects) for part in share_out(streams, max_streams)]

    # what happens

    def tick(self, now: float, wall: int) -> None:
        """Time is `now` (monotonic seconds) and `wall` (µs since the epoch). To be called some 20 times a second."""
        self._now, self.wall = now, wall
        if self.paused:
            return
        for shard in self.shards:
            shard.tick(now)
        for lane in self.lanes.values():
            lane.tick(now)
        self.gate.tick(now)

    def link(self, number: int) -> Link | None:
        """A connection that a command spoke of; its `frame` takes frames. None when it is gone."""
        return self._links.get(number)

    def connected(self, number: int, now: float) -> None:
        """A connection was opened."""
        if (link := self._links.get(number)) is not None:
            link.connected(now)

    def closed(self, number: int, reason: str) -> None:
        """A connection ended or could not be opened."""
        link = self._links.pop(number, None)
        if link is None:
            return
        self._frames_before += link.frames
        self._bytes_before += link.bytes
        for shard in self.shards:
            if link in shard.links:
                shard.closed(link, reason)

    def pressed(self, paused: bool, now: float) -> None:
        """The broker is behind and nothing is read, or it is no longer."""
        self.paused = self.gate.paused = paused
        if not paused:
            for shard in self.shards:
                shard.excuse(now)

    # what the lanes ask for (Desk)

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
        self.events[kind] += 1
        record = FeedEvent(
            symbol=symbol,
            id=feed_event_id(kind, symbol, feed, first_id, last_id, self.wall),
            kind=kind,
            feed=str(feed),
            event_time=event_time,
            receive_time=self.wall,
            first_id=first_id,
            last_id=last_id,
            detail=detail,
        )
        self._put(TopicKind.EVENTS, symbol)(record)

    def ask(self, request: RestRequest[T], done: Callable[[T], None], refused: Callable[[str], None]) -> None:
        """Send a request when the limits allow it."""
        self.gate.ask(request, done, refused)

    def dead_letter(self, payload: bytes, error: FrameError, source: str) -> None:
        """Keep input that cannot be used."""
        self.dead_letters += 1
        _log.warning("dead letter: %s", error, extra={"symbol": error.symbol, "source": source})
        where = f"{self._settings.exchange}: {source}"
        self._put(TopicKind.DEAD_LETTERS, error.symbol)(dead_letter(payload, error, where, self.wall))

    # what it shows

    @property
    def frames(self) -> int:
        """Frames read, ever."""
        return self._frames_before + sum(link.frames for link in list(self._links.values()))

    @property
    def bytes(self) -> int:
        """Bytes of those."""
        return self._bytes_before + sum(link.bytes for link in list(self._links.values()))

    @property
    def connected_links(self) -> int:
        """Connections whose streams are all subscribed."""
        return sum(shard.active is not None for shard in self.shards)

    @property
    def started(self) -> bool:
        """Whether every stream has been subscribed once."""
        return all(shard.started for shard in self.shards)

    @property
    def synced_through(self) -> int:
        """The exchange's time, µs, up to which everything it sent was received; 0 for not yet."""
        return min((shard.synced_through for shard in self.shards), default=0)

    @property
    def pending(self) -> int:
        """Feeds of a symbol that are being backfilled or synchronised."""
        return sum(lane.pending for lane in self.lanes.values())

    def symbol_states(self) -> Mapping[str, Mapping[str, object]]:
        """Each symbol's feeds."""
        states: defaultdict[str, dict[str, object]] = defaultdict(dict)
        for stream, lane in self.lanes.items():
            states[stream.symbol][stream.feed] = lane.state()
        return states

    def _put(self, kind: TopicKind, symbol: str) -> Put:
        put = self._puts.get((kind, symbol))
        if put is None:
            put = self._puts[kind, symbol] = self._outlet.lane(kind, symbol)
        return put

    def _make_shard(self, streams: Iterable[Stream], connects: Window) -> Shard:
        settings = self._settings
        backoff = Backoff(settings.backoff_initial_ms / 1000, settings.backoff_max_ms / 1000, self._random)
        return Shard(
            {stream: self.lanes[stream] for stream in streams},
            self._dialect.url(settings.websocket_url),
            self._make_link,
            self,
            self.commands.append,
            lambda: self.wall,
            backoff,
            connects,
            lifetime=self._dialect.limits.lifetime * self._random.uniform(0.96, 0.99),
            stable_after=settings.stable_after_ms / 1000,
            stale_after=settings.stale_after_ms / 1000,
            disorder=self._dialect.limits.disorder,
        )

    def _make_link(self, streams: Sequence[Stream], now: float) -> Link:
        self._link_number += 1
        link = Link(
            self._link_number, streams, self._dialect, self._mapper, self._accept, self, self.commands.append, now
        )
        self._links[link.number] = link
        return link
