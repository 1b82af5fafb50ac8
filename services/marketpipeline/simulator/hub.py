"""Who is connected, and who gets a frame of which stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from marketpipeline.simulator.connections import Connection
from marketpipeline.simulator.frames import Frame, Kind

__all__ = ["MAX_HELD", "Hub", "Sink"]

MAX_HELD = 1 << 20
"""Bytes that a slowed connection may hold back before the timeline waits for it."""


class Sink:
    """Where a connection's bytes go; the server gives the socket's own."""

    def __init__(self, write: Callable[[bytes], None], drain: Callable[[], Awaitable[None]]) -> None:
        self.write = write
        self.drain = drain


class Hub:
    """Who is connected and who gets a frame of which stream."""

    def __init__(self, diff_symbol: Callable[[str], str]) -> None:
        self.connections: dict[int, Connection] = {}
        self.sinks: dict[int, Sink] = {}
        self.routes: dict[str, list[Connection]] = {}
        self.unsynced: set[str] = set()
        """Symbols with a new reader of book changes who has not yet asked for the snapshot that it needs."""
        self.changed = asyncio.Event()
        """Set when a subscription or a snapshot came; who waits for one clears it first."""
        self.last_subscription = 0.0
        self.version = 0
        """Changes whenever the streams with readers do."""
        self.frames_sent = 0
        self._diff_symbol = diff_symbol

    def sent(self) -> int:
        """Frames sent, also to connections that are gone."""
        return self.frames_sent + sum(connection.frames_sent for connection in self.connections.values())

    def add(self, connection: Connection, sink: Sink, streams: Iterable[str]) -> None:
        """Take a new connection in, with the streams that its address asked for."""
        self.connections[connection.number] = connection
        self.sinks[connection.number] = sink
        self.subscribe(connection, streams)

    def remove(self, connection: Connection) -> None:
        """Forget a connection; called for each one once it is gone, and before."""
        if self.connections.pop(connection.number, None) is None:
            return
        del self.sinks[connection.number]
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
        """Send them no more."""
        for stream in streams:
            if stream not in connection.streams:
                continue
            self.version += 1
            del connection.streams[stream]
            readers = self.routes[stream]
            readers.remove(connection)
            if not readers:
                del self.routes[stream]

    def synced(self, symbol: str) -> None:
        """A snapshot of the symbol's book was given out."""
        self.unsynced.discard(symbol)
        self.changed.set()

    def dispatch(self, frames: Iterable[Frame]) -> None:
        """Put each frame to its readers."""
        routes = self.routes
        for frame in frames:
            for connection in routes.get(frame.stream, ()):
                connection.put(frame)

    def awaits_snapshot(self, frame: Frame) -> bool:
        """Whether a reader of this book change will now ask for the snapshot to start from."""
        return frame.kind is Kind.DIFF and frame.symbol in self.unsynced and frame.stream in self.routes

    def write(self) -> None:
        """Hand what was put to the sockets."""
        for connection in list(self.connections.values()):
            self.write_one(connection)

    def write_one(self, connection: Connection) -> None:
        """Hand one connection's bytes to its socket."""
        if connection.held(time.monotonic()):
            return
        if data := connection.take():
            self.sinks[connection.number].write(data)

    async def drain(self) -> None:
        """Wait until every socket has room again, and no slowed connection holds back too much."""
        for number in list(self.sinks):
            while (connection := self.connections.get(number)) is not None and connection.waiting > MAX_HELD:
                await asyncio.sleep(0.01)
                self.write_one(connection)
            if (sink := self.sinks.get(number)) is not None:
                await sink.drain()

    async def flush(self) -> None:
        """Write what slowed connections still hold back."""
        while any(connection.waiting for connection in self.connections.values()):
            self.write()
            await asyncio.sleep(0.01)
