"""The clients' connections: what each wants, was sent and still owes, and which of them get a frame of a stream.

Everything that a connection is sent (market data, replies, pings and pongs) goes through its one outgoing
list and is written in order, many messages a `write`. So a pong tells that all that was due before it has
been read. What is not yet written is bounded: the timeline waits while a connection's socket is full.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from marketpipeline.simulator.frames import PING, PONG, Frame, Kind, header
from marketpipeline.simulator.protocols import Session

__all__ = ["MAX_HELD", "Connection", "Hub", "SocketWriter"]

MAX_HELD = 1 << 20
"""Bytes that a slowed connection may hold back before the timeline waits for it."""


class Connection:
    """One client."""

    def __init__(self, number: int, session: Session, url: str = "") -> None:
        self.number = number
        self.url = url
        """Host and path that it was opened with."""
        self.session = session
        self.opened = time.monotonic()
        self.heard = self.opened
        """When the client's last message came, or that something was sent to it was seen."""
        self.streams: dict[str, None] = {}
        self.frames_sent = 0
        self.bytes_sent = 0
        self.pings: deque[tuple[bytes, float]] = deque(maxlen=64)
        """Payload and time of the pings that are not answered."""
        self.unread: list[bytes] = []
        """Payloads of those that were sent to see when what went before is read, in order."""
        self.tells = True
        """Whether it answers them."""
        self.closing = False
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
        message = self.session.render(frame)
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

    def mark(self) -> None:
        """Ask for a pong that tells that all which was put before has been read."""
        if self.tells:
            self.unread.append(b"%d read" % self.frames_sent)
            self.put_control(PING, self.unread[-1])

    def has_read(self, payload: bytes) -> bool:
        """Note the pong of a `mark`, which answers all before it too; False for another one."""
        if payload not in self.unread:
            return False
        del self.unread[: self.unread.index(payload) + 1]
        return True

    def pong(self, payload: bytes) -> None:
        """Note a pong; one that answers no ping keeps nothing alive."""
        if any(asked == payload for asked, _ in self.pings):
            while self.pings.popleft()[0] != payload:
                pass

    def owes_pong_since(self) -> float | None:
        """When the oldest unanswered ping was sent."""
        return self.pings[0][1] if self.pings else None

    def answer_ping(self, payload: bytes) -> None:
        """Answer a ping of the client, after everything that was put before."""
        self.put_control(PONG, payload)

    def admits(self, now: float, per_second: int) -> bool:
        """Whether one more incoming message at `now` is within the limit."""
        self.heard = now
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


class SocketWriter:
    """Where a connection's bytes go; the server gives the socket's own."""

    def __init__(self, write: Callable[[bytes], None], drain: Callable[[], Awaitable[None]]) -> None:
        self.write = write
        self.drain = drain


class Hub:
    """Who is connected and who gets a frame of which stream."""

    def __init__(self, diff_symbol: Callable[[str], str]) -> None:
        self.connections: dict[int, Connection] = {}
        self.writers: dict[int, SocketWriter] = {}
        self.routes: dict[str, list[Connection]] = {}
        self.unsynced: set[str] = set()
        """Symbols with a new reader of book changes who has not yet asked for the snapshot that it needs."""
        self.changed = asyncio.Event()
        """Set when a subscription, a snapshot or a pong came; who waits for one clears it first."""
        self.last_subscription = 0.0
        self.version = 0
        """Changes whenever the streams with readers do."""
        self.frames_sent = 0
        self._diff_symbol = diff_symbol

    def sent(self) -> int:
        """Frames sent, including those to connections that have closed."""
        return self.frames_sent + sum(connection.frames_sent for connection in self.connections.values())

    def add(self, connection: Connection, writer: SocketWriter) -> None:
        """Add a new connection."""
        self.connections[connection.number] = connection
        self.writers[connection.number] = writer

    def remove(self, connection: Connection) -> None:
        """Forget a connection; calling it again does nothing."""
        if self.connections.pop(connection.number, None) is None:
            return
        del self.writers[connection.number]
        self.frames_sent += connection.frames_sent
        self.unsubscribe(connection, list(connection.streams))
        self.changed.set()

    def subscribe(self, connection: Connection, streams: Iterable[str]) -> None:
        """Send the streams' frames to the connection from now on."""
        for stream in streams:
            if stream in connection.streams:
                continue
            self.version += 1
            connection.streams[stream] = None
            self.routes.setdefault(stream, []).append(connection)
            self.last_subscription = time.monotonic()
            if symbol := self._diff_symbol(stream):
                self.unsynced.add(symbol)
        self.changed.set()

    def unsubscribe(self, connection: Connection, streams: Iterable[str]) -> None:
        """Stop sending them."""
        for stream in streams:
            if stream not in connection.streams:
                continue
            self.version += 1
            del connection.streams[stream]
            readers = self.routes[stream]
            readers.remove(connection)
            if not readers:
                del self.routes[stream]

    def lost_changes(self, symbols: Iterable[str]) -> None:
        """Readers of these books need a new snapshot."""
        self.unsynced |= set(symbols) & {self._diff_symbol(stream) for stream in self.routes}

    def synced(self, symbol: str) -> None:
        """A snapshot of the symbol's book was given out."""
        self.unsynced.discard(symbol)
        self.changed.set()

    def mark(self, symbol: str) -> None:
        """Ask the readers of this book how far they have read."""
        for connection in self._readers(symbol):
            connection.mark()
        self.write()

    def has_read(self, symbol: str) -> bool:
        """Whether they have read all that was sent before they were asked last."""
        return not any(connection.unread for connection in self._readers(symbol))

    def has_readers(self, symbol: str) -> bool:
        """Whether anybody reads this book."""
        return bool(self._readers(symbol))

    def gives_up_on(self, symbol: str) -> None:
        """Its readers that have not told how far they have read never will: ask them no more."""
        for connection in self._readers(symbol):
            if connection.unread:
                connection.tells = False
                connection.unread.clear()

    def _readers(self, symbol: str) -> set[Connection]:
        found = (readers for stream, readers in self.routes.items() if self._diff_symbol(stream) == symbol)
        return {connection for readers in found for connection in readers}

    def dispatch(self, frames: Iterable[Frame]) -> None:
        """Queue each frame for its readers."""
        routes = self.routes
        for frame in frames:
            for connection in routes.get(frame.stream, ()):
                connection.put(frame)

    def awaits_snapshot(self, frame: Frame) -> bool:
        """Whether a reader of this book change will now ask for the snapshot to start from."""
        return frame.kind is Kind.DIFF and frame.symbol in self.unsynced and frame.stream in self.routes

    def write(self) -> None:
        """Write what is queued to the sockets."""
        for connection in list(self.connections.values()):
            self.write_one(connection)

    def write_one(self, connection: Connection) -> None:
        """Write one connection's queued bytes to its socket."""
        if connection.held(time.monotonic()):
            return
        if data := connection.take():
            self.writers[connection.number].write(data)

    async def drain(self) -> None:
        """Wait until every socket has room again, and no slowed connection holds back too much."""
        for number in list(self.writers):
            while (connection := self.connections.get(number)) is not None and connection.waiting > MAX_HELD:
                await asyncio.sleep(0.01)
                self.write_one(connection)
            if (writer := self.writers.get(number)) is not None:
                await writer.drain()

    async def flush(self) -> None:
        """Write what slowed connections still hold back."""
        while any(connection.waiting for connection in self.connections.values()):
            self.write()
            await asyncio.sleep(0.01)
