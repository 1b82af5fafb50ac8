"""The sockets: one port for the exchange's WebSocket and REST protocols, its control endpoint and its metrics."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from marketpipeline.simulator.admission import AdmissionControl
from marketpipeline.simulator.connections import Connection, Hub, SocketWriter
from marketpipeline.simulator.frames import TEXT
from marketpipeline.simulator.market_state import MarketState
from marketpipeline.simulator.protocols import Answer, Limits, Session, WireProtocol
from marketpipeline.simulator.timeline import Timeline

__all__ = ["WRITE_BUFFER", "Server"]

WRITE_BUFFER = 256 * 1024
"""Bytes that may wait in the process, and as many in the kernel, for one connection."""
MAX_MESSAGE = 64 * 1024
"""Largest message that a client may send."""

_CLOSING = "closing"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Client:
    """A connection and the library's side of it."""

    connection: Connection
    socket: web.WebSocketResponse
    transport: asyncio.Transport


class Server:
    """Translates between aiohttp and the sans-IO parts; holds no protocol of its own."""

    def __init__(
        self, protocol: WireProtocol, limits: Limits, hub: Hub, market: MarketState, timeline: Timeline
    ) -> None:
        self.protocol = protocol
        self.limits = limits
        self.hub = hub
        self.market = market
        self.timeline = timeline
        self.admission = AdmissionControl(limits.weight_per_minute)
        self.clients: dict[int, Client] = {}
        self.opened = 0
        self.requests = 0
        self._moved: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request that is not for the exchange's own control."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            session = self.protocol.open(request.path, request.query_string, self.limits.max_streams, self.market)
            if session is None:
                return web.Response(status=404, text="no such WebSocket path")
            if self.admission.refuses_connections():
                return web.Response(status=503, text="no new connections now")
            if not self.admission.admits(request.remote or "", self.limits.connects_per_second):
                return web.Response(status=429, text="too many connections")
            return await self._websocket(request, session)
        return await self._rest(request)

    async def _rest(self, request: web.Request) -> web.Response:
        self.requests += 1
        path, query, now = request.path, dict(request.query), self.timeline.clock.now
        if delay := self.admission.rest_delay():
            await asyncio.sleep(delay)
        verdict = self.admission.charge(request.remote or "", self.protocol.weight(path, query))
        if verdict.retry_after:
            answer = self.protocol.limited(verdict.banned, verdict.retry_after, int(time.time() * 1e6))
        elif request.method != "GET":
            answer = Answer(405, b"")
        else:
            answer = self.protocol.answer(path, query, request.headers, self.market, now)
        if answer.snapshot_of and self.market.has_hole(answer.snapshot_of):
            await self.timeline.until_told(answer.snapshot_of)
            answer = self.protocol.answer(path, query, request.headers, self.market, self.timeline.clock.now)
        if answer.snapshot_of:
            self.hub.synced(answer.snapshot_of)
        headers = {"Content-Type": "application/json;charset=UTF-8"}
        headers |= dict(answer.headers) | dict(self.protocol.weight_headers(verdict.used))
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    async def _websocket(self, request: web.Request, session: Session) -> web.StreamResponse:
        ws = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=MAX_MESSAGE, timeout=2.0)
        await ws.prepare(request)
        transport, drain = request.transport, request.writer.drain
        if transport is None:
            return ws
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WRITE_BUFFER)

        def write(data: bytes) -> None:
            if not transport.is_closing():
                transport.write(data)

        async def drained() -> None:
            with contextlib.suppress(ConnectionError):
                await drain()

        connection = Connection(next(self._numbers), session, f"{request.host}{request.path}")
        for stream, to in self._moved.items():
            session.carries(stream, to in connection.url)
        client = Client(connection, ws, transport)
        self.clients[connection.number] = client
        self.opened += 1
        self.hub.add(connection, SocketWriter(write, drained))
        self._subscribe(connection, tuple(session.streams))
        keeper = asyncio.create_task(self._keep(client))
        try:
            await self._receive(client)
        finally:
            keeper.cancel()
            self.hub.remove(connection)
            del self.clients[connection.number]
        return ws

    async def _receive(self, client: Client) -> None:
        connection = client.connection
        async for message in client.socket:
            if connection.closing:
                continue
            if message.type is WSMsgType.PONG and connection.has_read(bytes(message.data)):
                self.hub.changed.set()
                continue  # the exchange itself would not have asked
            if not connection.admits(time.monotonic(), self.limits.messages_per_second):
                self.close(client, WSCloseCode.POLICY_VIOLATION, "Too many requests")
                continue
            if message.type is WSMsgType.PING:
                connection.answer_ping(message.data)
            elif message.type is WSMsgType.PONG:
                connection.pong(bytes(message.data))
            elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                data = message.data
                response = connection.session.receive(
                    data.encode() if isinstance(data, str) else data, time.monotonic()
                )
                for reply in response.replies:
                    connection.put_control(TEXT, reply)
                self._subscribe(connection, response.subscribe)
                self.hub.unsubscribe(connection, response.unsubscribe)
            if connection.number in self.hub.writers:
                self.hub.write_one(connection)

    def _subscribe(self, connection: Connection, streams: Sequence[str]) -> None:
        """Send the streams from now on, each after what a new subscriber gets first; nothing of what has moved."""
        streams = [stream for stream in streams if self._is_carried(stream, connection)]
        for stream in streams:
            for frame in self.protocol.opening(stream, self.market, self.timeline.clock.now):
                connection.put(frame)
        self.hub.subscribe(connection, streams)

    async def _keep(self, client: Client) -> None:
        """Ping, require pongs or signs of life, and end the connection at its age."""
        connection, limits = client.connection, self.limits
        end = connection.opened + limits.lifetime
        next_ping = end if limits.ping_interval is None else connection.opened + limits.ping_interval
        sent = 0
        while True:
            await asyncio.sleep(max(0.0, min(self._deadline(connection, end), next_ping) - time.monotonic()))
            now = time.monotonic()
            if connection.frames_sent != sent:
                sent, connection.heard = connection.frames_sent, now
            if limits.idle_timeout is not None and now >= connection.heard + limits.idle_timeout:
                self.close(client, WSCloseCode.POLICY_VIOLATION, "No message from the client")
                return
            owed = connection.owes_pong_since()
            if owed is not None and now >= owed + limits.pong_timeout:
                self.close(client, WSCloseCode.POLICY_VIOLATION, "Pong timeout")
                return
            if now >= end:
                self.close(client, WSCloseCode.GOING_AWAY, "Connection lifetime exceeded")
                return
            if limits.ping_interval is not None and now >= next_ping:
                connection.ping(now)
                self.hub.write_one(connection)
                next_ping += limits.ping_interval

    def _deadline(self, connection: Connection, end: float) -> float:
        """When the connection is closed if nothing more is heard of its client."""
        if (owed := connection.owes_pong_since()) is not None:
            end = min(end, owed + self.limits.pong_timeout)
        if self.limits.idle_timeout is not None:
            end = min(end, connection.heard + self.limits.idle_timeout)
        return end

    def close(self, client: Client, code: int, reason: str) -> None:
        """End a connection as the protocol wants it; it gets no more frames."""
        if client.connection.closing:
            return
        client.connection.closing = True
        if client.connection.number in self.hub.writers:
            self.hub.write_one(client.connection)
        self.hub.remove(client.connection)
        _log.info("closing a connection", extra={"connection": client.connection.number, "reason": reason})
        self._spawn(self._close(client, code, reason), _CLOSING)

    async def _close(self, client: Client, code: int, reason: str) -> None:
        with contextlib.suppress(ConnectionError, asyncio.TimeoutError):
            await asyncio.wait_for(client.socket.close(code=code, message=reason.encode()), 5)
        client.transport.abort()

    def break_connections(self, refuse_seconds: float) -> None:
        """See `ServerControls`."""
        self.admission.refuse_connections(refuse_seconds)
        for client in list(self.clients.values()):
            self.abort(client)

    def slow_down(self, delay: float, seconds: float) -> None:
        """See `ServerControls`."""
        now = time.monotonic()
        self.admission.delay_rest(delay, seconds)
        for client in self.clients.values():
            client.connection.slow_down(delay, seconds, now)
        self._spawn(self._write_late(now + seconds + delay + 0.1))

    async def _write_late(self, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(0.02)
            self.hub.write()

    def limit(self, seconds: float, *, ban: bool) -> None:
        """See `ServerControls`."""
        self.admission.limit(seconds, ban=ban)

    def delist(self, symbol: str, seconds: float) -> None:
        """See `ServerControls`."""
        self.market.delist(symbol, seconds)

    def forget(self, stream: str) -> None:
        """See `ServerControls`. The session keeps them: it is the sending that stops."""
        for connection in self.hub.connections.values():
            self.hub.unsubscribe(connection, [name for name in connection.streams if stream in ("", name)])

    def move(self, stream: str, to: str) -> None:
        """See `ServerControls`."""
        self._moved[stream] = to
        for connection in self.hub.connections.values():
            connection.session.carries(stream, to in connection.url)
            gone = [name for name in connection.streams if not self._is_carried(name, connection)]
            self.hub.unsubscribe(connection, gone)

    def _is_carried(self, stream: str, connection: Connection) -> bool:
        return self._moved.get(stream, self._moved.get("", "")) in connection.url

    def scale_volume(self, symbol: str, factor: float) -> None:
        """See `ServerControls`."""
        self.market.scale_volume(symbol, factor)

    def spoil_trade(self, symbol: str) -> None:
        """See `ServerControls`."""
        self.market.spoil_trade(symbol)

    def shut_down(self, after: float) -> None:
        """See `ServerControls`."""
        told = list(self.clients.values())
        notice = self.protocol.shutdown_notice(self.timeline.clock.now)
        for client in told:
            client.connection.put(notice)
            self.hub.write_one(client.connection)
        self._spawn(self._close_later(told, after))

    async def _close_later(self, clients: list[Client], after: float) -> None:
        await asyncio.sleep(after)
        for client in clients:
            self.close(client, WSCloseCode.GOING_AWAY, "Server is shutting down")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str | None = None) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def abort(self, client: Client) -> None:
        """Abort a connection without a close frame, as a broken network does."""
        client.connection.closing = True
        self.hub.remove(client.connection)
        client.transport.abort()

    async def stop(self) -> None:
        """Close every connection and wait for that, at most 5 seconds."""
        for client in list(self.clients.values()):
            self.close(client, WSCloseCode.GOING_AWAY, "Server is stopping")
        closing = [task for task in self._tasks if task.get_name() == _CLOSING]
        if closing:
            await asyncio.wait(closing, timeout=5)
        for task in self._tasks:
            task.cancel()
