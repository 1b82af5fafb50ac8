"""The connection of a client: what it wants, what it was sent, and what it still owes.

Everything that a connection is sent (market data, replies, pings and pongs) goes through its one outgoing
list and is written in order, many messages a `write`. So a pong tells that all that was due before it has
been read. What is not yet written is bounded: the timeline waits while a connection's socket is full.
"""

from __future__ import annotations

import time
from collections import deque

from marketpipeline.simulator.frames import PING, PONG, Frame, header
from marketpipeline.simulator.protocols import ConnectionOptions, Session, WireProtocol

__all__ = ["Connection"]


class Connection:
    """One client."""

    def __init__(self, number: int, options: ConnectionOptions, session: Session, protocol: WireProtocol) -> None:
        self.number = number
        self.session = session
        self.microseconds = options.microseconds
        self.opened = time.monotonic()
        self.streams: dict[str, None] = {}
        self.frames_sent = 0
        self.bytes_sent = 0
        self.pings: deque[tuple[bytes, float]] = deque(maxlen=64)
        """Payload and time of the pings that are not answered."""
        self.closing = False
        self._protocol = protocol
        self._out: list[bytes] = []
        self._arrivals: deque[float] = deque()
        self._slow_until = 0.0
        self._delay = 0.0
        self._held_until = 0.0

    def slow_down(self, delay: float, seconds: float, now: float) -> None:
        """Write only once in `delay` seconds, for `seconds`."""
        self._delay, self._slow_until, self._held_until = delay, now + seconds, now + delay

    def held(self, now: float) -> bool:
        """Whether nothing may be written now; asked before each write."""
        if now < self._held_until:
            return True
        if now < self._slow_until:
            self._held_until = now + self._delay
        return False

    @property
    def waiting(self) -> int:
        """Bytes put and not taken."""
        return sum(map(len, self._out)) if self._held_until else 0

    def put(self, frame: Frame) -> None:
        """Add a message of a stream to what is sent next."""
        message = frame.message
        if frame.event_time and frame.microseconds is not self.microseconds:
            message = self._protocol.in_other_unit(frame)
        if not self.session.combined:
            message = message[frame.start : len(message) - (len(frame.message) - frame.end)]
        out = self._out
        out.append(header(len(message)))
        out.append(message)
        self.frames_sent += 1

    def put_control(self, opcode: int, payload: bytes) -> None:
        """Add a reply, a ping or a pong."""
        self._out.append(header(len(payload), opcode))
        self._out.append(payload)

    def ping(self, now: float) -> None:
        """Ask for a pong."""
        payload = str(int(time.time() * 1000)).encode()
        self.pings.append((payload, now))
        self.put_control(PING, payload)

    def pong(self, payload: bytes) -> None:
        """Note a pong; one that answers no ping keeps nothing alive."""
        if any(asked == payload for asked, _ in self.pings):
            while self.pings.popleft()[0] != payload:
                pass

    def owes_pong_since(self) -> float | None:
        """When the oldest unanswered ping was sent."""
        return self.pings[0][1] if self.pings else None

    def answer_ping(self, payload: bytes) -> None:
        """Answer a ping of the client, behind all that was put before."""
        self.put_control(PONG, payload)

    def admits(self, now: float, per_second: int) -> bool:
        """Whether one more incoming message at `now` is within the limit."""
        arrivals = self._arrivals
        while arrivals and arrivals[0] <= now - 1.0:
            arrivals.popleft()
        arrivals.append(now)
        return len(arrivals) <= per_second

    def take(self) -> bytes:
        """All that was put since the last call, in order."""
        data = b"".join(self._out)
        self._out.clear()
        self.bytes_sent += len(data)
        return data
