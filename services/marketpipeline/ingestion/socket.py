"""A WebSocket connection: the only module here that opens one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import time_ns
from typing import TypeGuard

from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from marketpipeline.errors import RetryableError
from marketpipeline.ingestion.route import Route

__all__ = ["Socket"]

HANDSHAKE_SECONDS = 10.0
"""Time for all that comes before the first frame: name, TCP, TLS, and the upgrade."""
LARGEST_FRAME = 16 * 1024 * 1024
READ_BUFFER = 256 * 1024

_TEXT, _BINARY, _CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_PONG, _CLOSE = WSMsgType.PONG, WSMsgType.CLOSE


class Socket(WSListener):
    """One connection. `take(payload, receive_time)` gets every message, `breathe()` follows when all that was read
    is taken. The library answers pings of the other side.
    """

    def __init__(
        self,
        take: Callable[[bytes, int], None],
        breathe: Callable[[], None],
        pong: Callable[[bytes], None],
        closed: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._take = take
        self._breathe = breathe
        self._pong = pong
        self._closed = closed
        self._parts: list[bytes] = []
        self._reason = "the connection broke"
        self._transport: WSTransport | None = None
        self._given_up = False

    async def open(self, url: str, route: Route) -> None:
        """Connect. Raises RetryableError when that fails."""
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await ws_connect(
                    lambda: self,
                    url,
                    websocket_handshake_timeout=HANDSHAKE_SECONDS,
                    max_frame_size=LARGEST_FRAME,
                    read_buffer_init_size=READ_BUFFER,
                    enable_auto_pong=True,
                    proxy=route.proxy,
                    ssl_context=route.tls,
                )
        except (OSError, WSError, ValueError) as error:
            self._given_up = True
            self._take = lambda payload, receive_time: None
            self.close("given up")
            raise RetryableError(f"cannot connect to {url}: {str(error) or type(error).__name__}") from error

    def send(self, message: bytes) -> None:
        """Send a text message."""
        if self._is_open(self._transport):
            self._transport.send(_TEXT, message)

    def ping(self, payload: bytes) -> None:
        """Send a ping; its pong is reported."""
        if self._is_open(self._transport):
            self._transport.send_ping(payload)

    def close(self, reason: str) -> None:
        """Say good-bye and disconnect."""
        self._reason = reason
        if self._is_open(self._transport):
            self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect()

    def pause(self, paused: bool) -> None:
        """Stop or go on reading; meanwhile the exchange's bytes wait in the kernel, and then at the exchange."""
        if self._is_open(self._transport):
            reading = self._transport.underlying_transport
            (reading.pause_reading if paused else reading.resume_reading)()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is made. The library goes on with one that is no longer waited for: that is ended here."""
        self._transport = transport
        if self._given_up:
            self.close("given up")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """The hot path."""
        kind = frame.msg_type
        if kind is _TEXT and frame.fin:
            self._take(frame.get_payload_as_bytes(), time_ns() // 1000)
            if frame.last_in_buffer:
                self._breathe()
        else:
            self._on_other(kind, transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is gone, whoever ended it."""
        self._closed(self._reason)

    @staticmethod
    def _is_open(transport: WSTransport | None) -> TypeGuard[WSTransport]:
        return transport is not None and not transport.is_disconnected

    def _on_other(self, kind: WSMsgType, transport: WSTransport, frame: WSFrame) -> None:
        if kind is _PONG:
            self._pong(frame.get_payload_as_bytes())
        elif kind is _CLOSE:
            said = frame.get_close_message()
            self._reason = (
                f"closed by the exchange: {frame.get_close_code()} {(said or b'').decode('utf-8', 'replace')}"
            )
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif kind in (_TEXT, _BINARY, _CONTINUATION):
            self._parts.append(frame.get_payload_as_bytes())
            if frame.fin:
                whole, self._parts = b"".join(self._parts), []
                self._take(whole, time_ns() // 1000)
        self._breathe()
