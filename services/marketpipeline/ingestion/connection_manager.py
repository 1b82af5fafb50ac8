"""A share of the streams and the connection that carries them, always one, at times two.

A connection that is about to end (its lifetime, a notice of the exchange) is replaced before it is left: the next
one subscribes first, both are read for a moment, and the handlers drop what comes twice. One that is lost is replaced
after a wait that grows with every failure, and is forgotten once a new connection has been stable.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

from marketpipeline.backoff import Backoff
from marketpipeline.ingestion.connection import Connection
from marketpipeline.ingestion.context import Command, Context, OpenConnection, StreamHandler
from marketpipeline.ingestion.pacing import Window
from marketpipeline.ingestion.staleness import StalenessDetector
from marketpipeline.records import FeedEventKind, Heartbeat
from marketpipeline.topics import Feed
from marketpipeline.venues.messages import Stream

__all__ = ["ConnectionManager"]

_log = logging.getLogger(__name__)

LINGER = 1.0
"""Seconds that a replaced connection is still read."""
HEARD_WITHIN = 5.0
"""Seconds that a silent stream has to speak after it was asked for again, before it is looked for elsewhere."""
CONNECTION = "connection"
"""What events of a connection name in place of a feed."""


class ConnectionManager:
    """`make_connection` gives a new connection; `urls` are where it may lead: to the next one where that cannot be
    opened. `wall` tells the time in µs.

    A connection is replaced after `lifetime`; the wait for a new one starts from the beginning when the last was
    connected for `stable_after`; `stale_after` is the least silence of a stream that is reported. In seconds.
    `disorder` as in the exchange's limits; `ask_every` is the time between two messages about silent streams, on the
    average, where subscriptions are limited. `exchange_now` estimates the exchange's time, µs; 0 where it is not known.
    """

    def __init__(
        self,
        handlers: Mapping[Stream, StreamHandler],
        urls: Sequence[str],
        make_connection: Callable[[Sequence[Stream], float], Connection],
        context: Context,
        emit: Callable[[Command], None],
        wall: Callable[[], int],
        backoff: Backoff,
        connects: Window,
        *,
        lifetime: float,
        stable_after: float,
        stale_after: float,
        disorder: int,
        ask_every: float = 0.0,
        exchange_now: Callable[[], int] = lambda: 0,
    ) -> None:
        self._ask_every = ask_every
        self._ask_silent_at = 0.0
        self._silent: dict[Stream, None] = {}
        self.handlers = dict(handlers)
        self.symbols: list[str] = []
        self.active: Connection | None = None
        self.reconnects = 0
        self.rejected: dict[Stream, str] = {}
        self._urls = deque(urls)
        self._asked: dict[Stream, float] = {}
        self._make_connection = make_connection
        self._context = context
        self._emit = emit
        self._wall = wall
        self._backoff = backoff
        self._connects = connects
        self._lifetime = lifetime
        self._stable_after = stable_after
        self._stale_after = stale_after
        self._disorder = disorder
        self._exchange_now = exchange_now
        self._since = 0
        self._coming: Connection | None = None
        self._stable: Connection | None = None
        self._leaving: list[tuple[Connection, float]] = []
        self._open_at: float | None = 0.0
        self.started = False
        self._clock = 0
        self._proven = 0
        self._detectors: dict[Stream, StalenessDetector] = {}
        self._now = 0.0
        self._beating: dict[str, list[StreamHandler]] = {}
        self._set_symbols()

    @property
    def synced_through(self) -> int:
        """The exchange's time, µs, up to which everything it sent has been received; 0 for not yet."""
        self._remember(self.active)
        return max(0, self._clock - self._disorder, self._proven)

    @property
    def stale(self) -> list[Stream]:
        """Streams that are silent for too long now."""
        return [stream for stream, silence in self._detectors.items() if silence.silent]

    @property
    def url(self) -> str:
        """Where its connections lead now."""
        return self._urls[0]

    def lost(self) -> dict[Stream, float]:
        """Streams that say nothing here though they were asked for again, or are refused; each with its usual gap
        between two messages, in seconds, 0 where it never spoke."""
        if self.active is None:
            return {}
        asked = [stream for stream, at in self._asked.items() if self._now >= at + HEARD_WITHIN]
        found = {stream: self._detectors[stream] for stream in asked if stream in self._detectors}
        silent = {stream: silence.usual for stream, silence in found.items() if silence.silent}
        return silent | dict.fromkeys(self.rejected, 0.0)

    @property
    def connections(self) -> list[Connection]:
        """Every connection of this manager."""
        some = [self.active, self._coming, *(connection for connection, _ in self._leaving)]
        return [connection for connection in some if connection is not None]

    def tick(self, now: float) -> None:
        """Open what is due, leave what was replaced, watch the streams."""
        self._now = now
        for connection in self.connections:
            connection.tick(now)
        if self._open_at is not None and now >= self._open_at and self._connects.take(now):
            self._open(now)
        for connection, leave_at in self._leaving:
            if now >= leave_at:
                connection.close("replaced")
        self._leaving = [(connection, leave_at) for connection, leave_at in self._leaving if now < leave_at]
        active = self.active
        if active is not None and active.connected_at is not None:
            if active is not self._stable and now - active.connected_at >= self._stable_after:
                self._stable = active
                self._backoff.reset()
            if now - active.connected_at >= self._lifetime:
                self.replace("its lifetime ends")
            self._listen(active, now)

    def replace(self, reason: str) -> None:
        """Open the next connection while this one still works."""
        if self._coming is None and self._open_at is None:
            _log.info("the connection is replaced: %s", reason)
            self._open_at = self._now

    def closed(self, connection: Connection, reason: str) -> None:
        """A connection ended, or could not be opened."""
        connection.gone = True
        if connection is self._coming:
            self._coming = None
            if connection.connected_at is None:
                self._urls.rotate(-1)
        elif connection is self.active:
            self._remember(connection)
            self.active = None
            for handler in self.handlers.values():
                handler.interrupt()
            self._tell("disconnect", reason)
        else:
            self._leaving = [entry for entry in self._leaving if entry[0] is not connection]
            return
        _log.warning("connection %d ended: %s", connection.number, reason)
        if self._coming is None and self._open_at is None:
            self._open_at = self._now + self._backoff.next()

    def resubscribe(self, symbol: str, feed: Feed) -> None:
        """End a stream and ask for it again, if it is carried here."""
        for connection in self.connections:
            for stream in connection.streams if connection.connected_at is not None else ():
                if (stream.symbol, stream.feed) == (symbol, feed):
                    connection.resubscribe([stream])

    def readmit(self, symbols: Collection[str]) -> None:
        """Ask again for the refused streams of symbols that the exchange lists."""
        for stream in [stream for stream in self.rejected if stream.symbol in symbols]:
            if (active := self.active) is not None and active.connected_at is not None:
                del self.rejected[stream]
                self._detectors[stream] = StalenessDetector(self._stale_after, self.handlers[stream].seen, self._now)
                active.admit(stream)

    def release(self, streams: Collection[Stream]) -> None:
        """Carry streams no more: others do. Without any it has no connection."""
        self.handlers = {stream: handler for stream, handler in self.handlers.items() if stream not in streams}
        self._set_symbols()
        for kept in (self._detectors, self._asked, self._silent, self.rejected):
            for stream in streams:
                kept.pop(stream, None)
        for connection in self.connections:
            connection.end(streams)
            if not self.handlers:
                connection.close("it carries nothing any more")
        if not self.handlers:
            self._open_at = None

    def adopt(self, connection: Connection, now: float) -> None:
        """Go on with a connection that has its streams already."""
        self._now = now
        self._open_at = None
        self._coming = connection
        self._attach(connection)
        self._ready(connection)

    def excuse(self, now: float) -> None:
        """Nothing was read for a while: no stream is to blame for its silence."""
        for connection in self.connections:
            connection.excuse(now)
        for stream, silence in self._detectors.items():
            silence.excuse(self.handlers[stream].seen, now)

    def _open(self, now: float) -> None:
        self._open_at = None
        streams = [stream for stream in self.handlers if stream not in self.rejected]
        connection = self._make_connection(streams, now)
        self._attach(connection)
        self._coming = connection
        self._emit(OpenConnection(connection.number, self.url))

    def _attach(self, connection: Connection) -> None:
        connection.on_ready = lambda: self._ready(connection)
        connection.on_beat = lambda: self._beat(connection)
        connection.on_going_down = lambda reason: self.replace(reason) if connection is self.active else None
        connection.on_rejected = self._reject

    def _ready(self, connection: Connection) -> None:
        """All streams of a new connection are subscribed: it takes over."""
        if connection is not self._coming:
            return
        previous, self.active, self._coming = self.active, connection, None
        if previous is not None:
            self._remember(previous)
            self._leaving.append((previous, self._now + LINGER))
        elif self.started:
            self.reconnects += 1
            self._tell("reconnect", "")
        if not self.started:
            self._since = self._exchange_now()
        _log.info("connection %d to %s carries %d streams", connection.number, self.url, len(connection.streams))
        for stream in connection.streams:
            handler = self.handlers[stream]
            detector = StalenessDetector(self._stale_after, handler.seen, self._now)
            if (former := self._detectors.get(stream)) is not None:
                detector.continue_from(former)
            self._detectors[stream] = detector
            handler.resume()
        self._silent.clear()
        self._ask_silent_at = self._now
        self.started = True
        connection.promote()

    def _set_symbols(self) -> None:
        self.symbols = sorted({stream.symbol for stream in self.handlers})
        self._beating = {}
        for stream, handler in self.handlers.items():
            if handler.beats:
                self._beating.setdefault(stream.symbol, []).append(handler)

    def _reject(self, stream: Stream, reason: str) -> None:
        if stream not in self.handlers:
            return  # it was released while the exchange thought about it
        self.rejected[stream] = reason
        self._detectors.pop(stream, None)
        self._context.event("rejected", stream.symbol, stream.feed, detail=f"{stream.name}: {reason}")

    def _listen(self, connection: Connection, now: float) -> None:
        for stream, silence in self._detectors.items():
            handler = self.handlers[stream]
            kind = silence.look(handler.seen, now)
            if kind == "still" and handler.deaf:
                self.replace(f"{stream.name} says nothing of what happens")
            if kind in ("stale", "still"):
                handler.doubt()
                self._silent[stream] = None
            if kind == "stale":
                spoke = "spoke last" if silence.spoke else "never spoke since it was subscribed"
                detail = f"silent for {silence.limit:.1f} s; {spoke}"
                _log.warning("%s is silent: %s", stream.name, detail, extra={"symbol": stream.symbol})
                self._context.event("stale", stream.symbol, stream.feed, detail=detail)
            elif kind == "recovered":
                self._silent.pop(stream, None)
                self._asked.pop(stream, None)
                self._context.event("recovered", stream.symbol, stream.feed)
        self._ask_silent(connection, now)

    def _ask_silent(self, connection: Connection, now: float) -> None:
        """Ask again for the streams that are silent: together, and so that a connection whose subscriptions are limited
        keeps half of them for books that are lost."""
        if not self._silent or now < self._ask_silent_at:
            return
        streams = [stream for stream in connection.streams if stream in self._silent]
        self._silent.clear()
        self._asked |= {stream: now for stream in streams if stream not in self._asked}
        self._ask_silent_at = now + self._ask_every * connection.resubscribe(streams)

    def _beat(self, connection: Connection) -> None:
        if connection is not self.active:
            return
        self._remember(connection)
        through, wall = max(self._clock, self._proven) - self._disorder, self._wall()
        if through < self._since:
            return  # nothing from before the first subscription was received but what is pushed with it
        for symbol, handlers in self._beating.items():
            heartbeat = Heartbeat(symbol=symbol, event_time=through, receive_time=wall, process=self._context.process)
            for handler in handlers:
                if not self._context.examines(symbol, handler.feed):
                    handler.beat(heartbeat)
        for handler in self.handlers.values():
            if handler.complete and not self._context.examines(handler.symbol, handler.feed):
                handler.whole_at = wall

    def _remember(self, connection: Connection | None) -> None:
        if connection is not None:
            self._clock = max(self._clock, connection.clock)
            self._proven = max(self._proven, connection.proven)

    def _tell(self, kind: FeedEventKind, detail: str) -> None:
        for symbol in self.symbols:
            self._context.event(kind, symbol, CONNECTION, event_time=self.synced_through or None, detail=detail)
