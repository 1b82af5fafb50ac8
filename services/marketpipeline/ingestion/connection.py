"""One connection as a state machine: subscribe, read frames, keep the exchange's clock, notice that it is dead.

    opening ──connected──▶ subscribing ──all acknowledged──▶ ready ──closed──▶ (gone)

How far the exchange's time has surely been received follows from the newest time seen, less the exchange's
disorder. In a quiet market the exchange is asked for its time over REST and then pinged on the connection: with the
pong, which comes in order, everything sent before that time has been received.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from marketpipeline.ingestion.context import CloseConnection, Command, Context, Ping, Send
from marketpipeline.ingestion.pacing import Window
from marketpipeline.venues.adapter import Acknowledged, ExchangeAdapter, FrameError, GoingDown, Mapper, Refused, Stream

__all__ = ["Connection"]

_log = logging.getLogger(__name__)

BEAT_EVERY = 1_000_000
"""µs of the exchange's time between heartbeats."""
QUIET_AFTER = 1.0
"""Seconds without a move of the clock after which the exchange is asked for its time."""
PING_AFTER = 10.0
"""Seconds of that after which a ping goes out also without an answer, to see whether the connection lives."""
PONG_WITHIN = 10.0
ACKNOWLEDGE_WITHIN = 10.0
NEVER = 2**63
RESERVED = 1
"""Control messages a second left to the pongs that the socket sends by itself."""

Accept = Mapping[type, Mapping[str, Callable[[Any], None]]]


class Connection:
    """Connection `number` carrying `streams`.

    `accept` finds a handler by the record's type and symbol. `on_ready`, `on_beat`, `on_going_down` and
    `on_rejected` tell the manager. `clock` is the newest time of the exchange seen on it, `proven` the newest that a
    pong proved, in µs.
    """

    def __init__(
        self,
        number: int,
        streams: Sequence[Stream],
        adapter: ExchangeAdapter,
        mapper: Mapper,
        accept: Accept,
        context: Context,
        emit: Callable[[Command], None],
        now: float,
    ) -> None:
        self.number = number
        self.streams = list(streams)
        self.frames = 0
        self.bytes = 0
        self.clock = 0
        self.proven = 0
        self.beat_at = NEVER
        self.ready = False
        self.gone = False
        self.connected_at: float | None = None
        self.opened_at = now
        self.on_ready: Callable[[], None] = lambda: None
        self.on_beat: Callable[[], None] = lambda: None
        self.on_going_down: Callable[[str], None] = lambda reason: None
        self.on_rejected: Callable[[Stream, str], None] = lambda stream, reason: None
        self._adapter = adapter
        self._map = mapper.map
        self._accept = accept
        self._context = context
        self._emit = emit
        self._pace = Window(max(1, adapter.limits.control_per_second - RESERVED), 1.0)
        self._outbox: deque[Callable[[], None]] = deque()
        self._awaited: dict[int, tuple[list[Stream], float]] = {}
        self._messages = 0
        self._pings: deque[tuple[bytes, int, float]] = deque()
        self._last_clock = 0
        self._moved_at = now
        self._asking = False
        self._probed_at = now
        self._now = now

    def frame(self, payload: bytes, receive_time: int) -> None:
        """Take one text frame, received at `receive_time` µs. The hot path."""
        self.frames += 1
        self.bytes += len(payload)
        try:
            record = self._map(payload, receive_time)
            handlers = self._accept.get(type(record))
            if handlers is None:
                self._control(record)
                return
            handlers[record.symbol](record)  # type: ignore[union-attr]  # whatever has a handler has a symbol
            time = record.event_time  # type: ignore[union-attr]
        except FrameError as error:
            self._context.dead_letter(payload, error, f"connection {self.number}")
            return
        if time is not None and time > self.clock:
            self.clock = time
            if time >= self.beat_at:
                self._beat()

    def connected(self, now: float) -> None:
        """The connection is open: ask for the streams."""
        self._now = now
        self.connected_at = self._moved_at = now
        batch = self._adapter.limits.subscribe_batch
        for start in range(0, len(self.streams), batch):
            self._subscribe(self.streams[start : start + batch])
        self._flush()

    def pong(self, payload: bytes, now: float) -> None:
        """A pong came: what was sent before its ping has been received."""
        self._now = now
        if not any(payload == sent for sent, _, _ in self._pings):
            return
        while self._pings:
            sent, time, _ = self._pings.popleft()
            if time > self.proven:
                self.proven = time
                self.clock = max(self.clock, time)
                if self.clock >= self.beat_at:
                    self._beat()
            if sent == payload:
                return

    def tick(self, now: float) -> None:
        """Send what may be sent; look after silence and overdue answers."""
        self._now = now
        if self.gone or self.connected_at is None:
            return
        self._flush()
        if self.clock != self._last_clock:
            self._last_clock, self._moved_at = self.clock, now
        elif self.ready and not self._pings:
            self._probe(now - self._moved_at)
        if self._pings and now - self._pings[0][2] > PONG_WITHIN:
            self.close(f"no pong within {PONG_WITHIN:g} s")
        elif any(now - sent > ACKNOWLEDGE_WITHIN for _, sent in self._awaited.values()):
            self.close(f"no answer to a subscription within {ACKNOWLEDGE_WITHIN:g} s")

    def excuse(self, now: float) -> None:
        """It was not read for a while: what is overdue may be waiting in the socket."""
        self._moved_at = now
        self._pings = deque((payload, time, now) for payload, time, _ in self._pings)
        self._awaited = {number: (streams, now) for number, (streams, _) in self._awaited.items()}

    def resubscribe(self, stream: Stream) -> None:
        """End a stream and ask for it again."""
        self._messages += 1
        message = self._adapter.unsubscribe(self._messages, [stream.name])
        self._outbox.append(lambda: self._emit(Send(self.number, message)))
        self._subscribe([stream])
        self._flush()

    def promote(self) -> None:
        """From now on this connection's clock counts, and moves the heartbeats."""
        self.beat_at = 0

    def close(self, reason: str) -> None:
        """Give the connection up; its end is reported like any other."""
        self._emit(CloseConnection(self.number, reason))

    def _subscribe(self, streams: list[Stream]) -> None:
        self._messages += 1
        number = self._messages
        message = self._adapter.subscribe(number, [stream.name for stream in streams])
        self._awaited[number] = (streams, float("inf"))

        def send() -> None:
            self._awaited[number] = (streams, self._now)
            self._emit(Send(self.number, message))

        self._outbox.append(send)

    def _flush(self) -> None:
        while self._outbox and self._pace.take(self._now):
            self._outbox.popleft()()

    def _control(self, message: object) -> None:
        match message:
            case Acknowledged(number):
                self._answered(number)
            case Refused(number, reason):
                self._refused(number, reason)
            case GoingDown(reason):
                self.on_going_down(reason)

    def _answered(self, number: int) -> None:
        if self._awaited.pop(number, None) is not None and not self._awaited and not self.ready:
            self.ready = True
            self.on_ready()

    def _refused(self, number: int | None, reason: str) -> None:
        """A message for several streams is tried again in halves, to find the one that is wrong."""
        streams, _ = self._awaited.get(number or 0, ([], 0.0))
        _log.error("the exchange refused a control message: %s", reason, extra={"connection": self.number})
        if len(streams) > 1:
            middle = len(streams) // 2
            self._subscribe(streams[:middle])
            self._subscribe(streams[middle:])
        elif streams:
            self.streams = [stream for stream in self.streams if stream is not streams[0]]
            self.on_rejected(streams[0], reason)
        self._answered(number or 0)
        self._flush()

    def _beat(self) -> None:
        self.beat_at = self.clock + BEAT_EVERY
        self.on_beat()

    def _probe(self, quiet: float) -> None:
        """At most once a second, also at an exchange whose time stands still."""
        if quiet < QUIET_AFTER or self._now - self._probed_at < QUIET_AFTER:
            return
        if not self._asking:
            self._asking = True
            self._probed_at = self._now
            self._context.ask(self._adapter.server_time(), self._barrier, self._no_time)
        elif quiet >= PING_AFTER and self._pace.take(self._now):
            self._probed_at = self._now
            self._ping(0)

    def _barrier(self, server_time: int) -> None:
        """The exchange's time is known; ping, so that the pong says it was reached."""
        self._asking = False
        if not self.gone:
            self._outbox.append(lambda: self._ping(server_time))
            self._flush()

    def _no_time(self, reason: str) -> None:
        self._asking = False

    def _ping(self, time: int) -> None:
        """The pong will prove `time`."""
        self._messages += 1
        payload = str(self._messages).encode()
        self._pings.append((payload, time, self._now))
        self._emit(Ping(self.number, payload))
