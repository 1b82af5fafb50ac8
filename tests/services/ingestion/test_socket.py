"""A connection that does not come about is given up in time, and nothing of it is left."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

import picows
import pytest
from marketpipeline.errors import RetryableError
from marketpipeline.ingestion import socket as module
from marketpipeline.ingestion.route import Route
from marketpipeline.ingestion.socket import Socket

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What the answer to an upgrade is made with (RFC 6455)."""


def connection(taken: list[bytes]) -> Socket:
    return Socket(lambda payload, _: taken.append(payload), lambda: None, lambda _: None, lambda _: None)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HANDSHAKE_SECONDS", 0.3)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_who_accepts_and_says_nothing_is_given_up(scheme: str) -> None:
    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            """What is asked is not answered."""
        ended.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server, asyncio.timeout(5):
        url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(RetryableError, match=rf"cannot connect to {url}: \S+"):
            await connection([]).open(url, Route())
        await ended.wait()


async def test_an_upgrade_that_comes_too_late_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own limit begins with the upgrade, after TCP and TLS: ours may end before."""
    connect: Any = picows.ws_connect
    monkeypatch.setattr(
        module, "ws_connect", lambda *given, **named: connect(*given, **named | {"websocket_handshake_timeout": 60.0})
    )
    given_up, ended = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Agree to the upgrade, with a first frame, only when it is no longer waited for."""
        request = await reader.readuntil(b"\r\n\r\n")
        key = next(
            line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
        )
        await given_up.wait()
        accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
        agreed = [b"HTTP/1.1 101 X", b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: " + accept]
        writer.write(b"\r\n".join([*agreed, b"", b"\x81\x08too late"]))
        while await reader.read(65_536):
            """It may say good-bye."""
        ended.set()
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    taken: list[bytes] = []
    async with server, asyncio.timeout(5):
        with pytest.raises(RetryableError, match="cannot connect"):
            await connection(taken).open(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", Route())
        given_up.set()
        await ended.wait()
    assert taken == []
