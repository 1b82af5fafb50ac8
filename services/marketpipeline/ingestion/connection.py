"""One connection as a state machine: subscribe, read frames, keep the exchange's clock, notice that it is dead.

    opening ──connected──▶ subscribing ──all acknowledged──▶ ready ──closed──▶ (gone)

How far the exchange's time has surely been received follows from the newest time seen, less the exchange's
disorder. In a quiet market the exchange is asked for its time over REST and then pinged on the connection: with the
pong, which comes in order, everything sent before that time has been received.

A frame whose time is implausibly far ahead is held, and all after it, until the exchange was asked for its time. Then
it is a dead letter, or the exchange's clock really is there.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from marketpipeline.errors import PermanentError
from marketpipeline.ingestion.clock import ExchangeClock
from marketpipeline.ingestion.context import CloseConnection, Command, Context, Ping, Send, StreamHandler
from marketpipeline.ingestion.pacing import Window
from marketpipeline.venues.adapter import ExchangeAdapter, Mapper
from marketpipeline.venues.messages import (
    Acknowledged,
    Data,
    FlawedData,
    FrameError,
    GoingDown,
    Mapped,
    PingReceived,
    Pong,
    Refused,
    Stream,
)

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

TIME_WITHIN = 5.0
"""Seconds in which the exchange has to tell its time, when a frame's is not believed without."""
ALIKE, ALIKE_FOR = 20, 5.0
"""So many times, over so many seconds, that are off by as much, and none that is plausible: our own clock is wrong."""
MAX_HELD = 100_000
"""Frames held meanwhile."""


class Connection:
    """Connection `number` carrying `streams`.

    `handlers` are those of the streams. `on_ready`, `on_beat`, `on_going_down` and
    `on_rejected` tell the manager. `clock` is the newest time of the exchange seen on it, `proven` the newest that a
    pong proved, in µs.
    """

    def __init__(
        self,
        number: int,
        streams: Sequence[Stream],
        adapter: ExchangeAdapter,
        mapper: Mapper,
        handlers: Mapping[Stream, StreamHandler],
        exchange_clock: ExchangeClock,
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
        self.refusals = logging.ERROR
        """The level of the log at which one is told."""
        self.on_ready: Callable[[], None] = lambda: None
        self.on_beat: Callable[[], None] = lambda: None
        self.on_going_down: Callable[[str], None] = lambda reason: None
        self.on_rejected: Callable[[Stream, str], None] = lambda stream, reason: None
        self._adapter = adapter
        self._map = mapper.map
        self._handlers = handlers
        self._exchange_clock = exchange_clock
        self._behind = exchange_clock.behind
        self._held: list[Callable[[], None]] | None = None
        self._held_at = now
        self._alike = (0, -1, now, 0)
        self._context = context
        self._emit = emit
        control = adapter.limits.control
        self._pace = Window(max(1, control.count - RESERVED), control.seconds)
        subscriptions = adapter.limits.subscriptions
        self._budget = None if subscriptions is None else Window(subscriptions.count, subscriptions.seconds)
        self._spent = False
        self._outbox: deque[tuple[bool, Callable[[], None]]] = deque()
        self._awaited: dict[int, tuple[list[Stream], float]] = {}
        self._resubscribed: dict[Stream, int] = {}
        self._pinged_at = now
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
        if self._held is not None:
            self._hold(payload, receive_time)
            return
        try:
            data: Any = self._map(payload, receive_time)
        except (FrameError, RecursionError) as error:
            unusable = error if isinstance(error, FrameError) else FrameError("nested too deeply")
            self._context.dead_letter(payload, unusable, f"connection {self.number}")
            return
        if type(data) is not tuple:
            data = self._take_other(data)
            if data is None:
                return
        stream, records = data
        handler = self._handlers[stream]
        for record in records:
            try:
                time = record.event_time
                if time is None:
                    handler.accept(record)
                elif time > self.clock:
                    difference = time - receive_time
                    if (difference > self._exchange_clock.usual or not self.clock) and not self._believes(
                        time, difference, payload, receive_time
                    ):
                        return
                    handler.accept(record)
                    self.clock = time
                    if time >= self.beat_at:
                        self._beat()
                elif time < self.clock - self._behind:
                    raise FrameError(f"event time {time} is implausibly far before {self.clock}")
                else:
                    handler.accept(record)
            except FrameError as error:
                kept = payload if len(records) == 1 else msgspec.json.encode(record)
                self._keep(kept, str(error), stream)
                handler.miss(record)

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
        if self._held is not None:
            self._held.append(lambda: self.pong(payload, now))
            return
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
        if self._held is not None and now >= self._held_at + TIME_WITHIN:
            self._exchange_clock.known = False
            self._release(plausible=False)
        keep_alive = self._adapter.keep_alive
        if keep_alive.every and now >= self._pinged_at + keep_alive.every and self._pace.take(now):
            self._ping(0)
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

    def resubscribe(self, streams: Sequence[Stream]) -> int:
        """End streams and ask for them again, in as few messages as may be; what is sent between is missed.

        Returns how many messages that takes.
        """
        batch, before = self._adapter.limits.subscribe_batch, self._messages
        for start in range(0, len(streams), batch):
            part = list(streams[start : start + batch])
            self._messages += 1
            message = Send(self.number, self._adapter.unsubscribe(self._messages, part))
            self._outbox.append((True, partial(self._emit, message)))
            self._ask_again(part)
        return self._messages - before

    def end(self, streams: Collection[Stream]) -> None:
        """Want streams no more."""
        gone = [stream for stream in self.streams if stream in streams]
        self.streams = [stream for stream in self.streams if stream not in streams]
        batch = self._adapter.limits.subscribe_batch
        for start in range(0, len(gone), batch):
            self._messages += 1
            message = Send(self.number, self._adapter.unsubscribe(self._messages, gone[start : start + batch]))
            self._outbox.append((True, partial(self._emit, message)))
        if self.connected_at is not None:
            self._flush()

    def admit(self, stream: Stream) -> None:
        """Ask again for a stream that was refused."""
        self.streams.append(stream)
        self._ask_again([stream])

    def promote(self) -> None:
        """From now on this connection's clock counts, and moves the heartbeats."""
        self.beat_at = 0

    def close(self, reason: str) -> None:
        """Give the connection up; its end is reported like any other."""
        self._emit(CloseConnection(self.number, reason))

    def _subscribe(self, streams: list[Stream]) -> int:
        self._messages += 1
        number = self._messages
        message = self._adapter.subscribe(number, streams)
        self._awaited[number] = (streams, float("inf"))

        def send() -> None:
            self._awaited[number] = (streams, self._now)
            self._emit(Send(self.number, message))

        self._outbox.append((True, send))
        return number

    def _ask_again(self, streams: list[Stream]) -> None:
        for stream in streams:
            self._handlers[stream].pause()
        self._resubscribed |= dict.fromkeys(streams, self._subscribe(streams))
        self._flush()

    def _flush(self) -> None:
        """Send what may be sent. A connection that may subscribe no more is replaced by one that may."""
        while self._outbox and not self._spent and self._pace.take(self._now):
            subscribes, send = self._outbox[0]
            if subscribes and self._budget is not None and not self._budget.take(self._now):
                self._spent = True
                self.on_going_down("it may send no more subscriptions now")
                return
            self._outbox.popleft()
            send()

    def _take_other(self, said: Mapped) -> Data | None:
        """A control message, or what is beside the records of a frame; returns those."""
        if not isinstance(said, FlawedData):
            self._control(said)
            return None
        handler = self._handlers[said.stream]
        for row in said.bad:
            self._keep(row.payload, row.error, said.stream)
            handler.skip(row.number)
        if said.nothing:
            handler.tell_nothing(said.nothing)
        return said.stream, said.records

    def _control(self, message: object) -> None:
        match message:
            case Acknowledged(number, stream):
                self._answered(number, stream)
            case Refused(number, reason, stream):
                self._refused(number, reason, stream)
            case GoingDown(reason):
                self.on_going_down(reason)
            case PingReceived(reply):
                self._outbox.appendleft((False, lambda: self._emit(Send(self.number, reply))))
                self._flush()
            case Pong():
                if self._pings:
                    self.pong(self._pings[0][0], self._now)

    def _answered(self, number: int | None, stream: Stream | None) -> None:
        """An answer to a whole message, or to one of its streams: the message is answered with its last stream."""
        if stream is not None:
            number = next((number for number, (streams, _) in self._awaited.items() if stream in streams), None)
            streams, sent = self._awaited.get(number or 0, ([], 0.0))
            if len(streams) > 1:
                self._awaited[number or 0] = ([one for one in streams if one != stream], sent)
                self._unpause([stream], number)
                return
        self._unpause(list(self._resubscribed), number)
        if self._awaited.pop(number or 0, None) is not None and not self._awaited and not self.ready:
            self.ready = True
            self.on_ready()

    def _unpause(self, streams: list[Stream], number: int | None) -> None:
        """The streams among these that message `number` was the last to ask for again are subscribed."""
        for stream in streams:
            if self._resubscribed.get(stream) == number:
                del self._resubscribed[stream]
                self._handlers[stream].unpause()

    def _refused(self, number: int | None, reason: str, stream: Stream | None) -> None:
        """A message for several streams is tried again in halves, unless it is said which one is wrong."""
        _log.log(self.refusals, "the exchange refused a control message: %s", reason, extra={"connection": self.number})
        if number is None and stream is None and len(self._awaited) == 1:
            number = next(iter(self._awaited))
        streams = [stream] if stream is not None else self._awaited.get(number or 0, ([], 0.0))[0]
        if len(streams) > 1:
            middle = len(streams) // 2
            for part in (streams[:middle], streams[middle:]):
                again = self._subscribe(part)
                self._resubscribed |= {one: again for one in part if self._resubscribed.get(one) == number}
        elif streams:
            self.streams = [one for one in self.streams if one != streams[0]]
            self._resubscribed.pop(streams[0], None)
            self.on_rejected(streams[0], reason)
        self._answered(number, stream)
        self._flush()

    def _keep(self, payload: bytes, error: str, stream: Stream) -> None:
        self._context.dead_letter(payload, FrameError(error, stream.symbol), f"connection {self.number}")

    def _believes(self, time: int, difference: int, payload: bytes, receive_time: int) -> bool:
        """Whether a time ahead of all that were seen is plausible; else the frame is held until the exchange was asked.

        Raises FrameError for one that is not, if the exchange was just asked, or tells no time.
        """
        clock = self._exchange_clock
        first_is_old = not self.clock and difference < clock.offset - clock.behind
        if difference <= clock.limit and not first_is_old:
            if difference > clock.usual:
                clock.moved(difference)
            return True
        request = self._adapter.server_time() if clock.may_ask(self._now) else None
        if request is None:
            if self._is_alike(difference):
                _log.warning("our clock seems to be wrong: the exchange is %.1f s ahead", difference / 1e6)
                clock.moved(difference)
                return True
            raise FrameError(f"event time {time} is implausible beside the exchange's clock")
        held = self._held = []
        self._held_at = self._now
        self._hold(payload, receive_time)

        def told(server_time: int) -> None:
            if self._held is held:
                clock.told(server_time, self._context.wall)
                self._release(plausible=clock.offset - clock.behind <= difference <= clock.limit)

        def refused(error: PermanentError) -> None:
            if self._held is held:
                clock.known = False
                self._release(plausible=False)

        self._context.ask(request, told, refused)
        return False

    def _is_alike(self, difference: int) -> bool:
        """Whether all that comes is off by as much, where the exchange tells no time to judge that by."""
        first, clock, since, count = self._alike
        if clock != self.clock or abs(difference - first) > self._exchange_clock.ahead or self._exchange_clock.known:
            first, since, count = difference, self._now, 0
        self._alike = (first, self.clock, since, count + 1)
        return count + 1 >= ALIKE and self._now >= since + ALIKE_FOR

    def _hold(self, payload: bytes, receive_time: int) -> None:
        self.frames -= 1
        self.bytes -= len(payload)
        if self._held is not None:
            self._held.append(lambda: self.frame(payload, receive_time))
            if len(self._held) > MAX_HELD:
                self._release(plausible=False)

    def _release(self, *, plausible: bool) -> None:
        """Take what was held; what is implausible now is a dead letter."""
        held, self._held = self._held or [], None
        self._exchange_clock.judged(plausible, self._now)
        for take in held:
            take()

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
            request = self._adapter.server_time()
            if request is not None:
                self._context.ask(request, self._barrier, self._no_time)
        elif quiet >= PING_AFTER and self._pace.take(self._now):
            self._probed_at = self._now
            self._ping(0)

    def _barrier(self, server_time: int) -> None:
        """The exchange's time is known; ping, so that the pong says it was reached."""
        self._asking = False
        self._exchange_clock.told(server_time, self._context.wall)
        if not self.gone:
            self._outbox.append((False, lambda: self._ping(server_time)))
            self._flush()

    def _no_time(self, error: PermanentError) -> None:
        self._asking = False

    def _ping(self, time: int) -> None:
        """The pong will prove `time`."""
        self._messages += 1
        self._pinged_at = self._now
        payload, message = str(self._messages).encode(), self._adapter.keep_alive.message
        self._pings.append((payload, time, self._now))
        self._emit(Ping(self.number, payload) if message is None else Send(self.number, message))
