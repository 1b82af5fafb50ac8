"""A client of the exchange, real sockets on both sides, and captures made for a test."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from marketpipeline.settings import HttpSettings, SimulatorSettings
from marketpipeline.simulator.main import SimulatedExchange

START = 1_700_000_000_000
"""Event time of made captures' first frame, in milliseconds."""


def settings(**values: Any) -> SimulatorSettings:
    return SimulatorSettings(http=HttpSettings(host="127.0.0.1", port=0), **values)


@asynccontextmanager
async def serving(**values: Any) -> AsyncIterator[SimulatedExchange]:
    """An exchange on a free port."""
    exchange = SimulatedExchange(settings(**values))
    await exchange.start()
    try:
        yield exchange
    finally:
        await exchange.stop()


class Client:
    """One connection and one HTTP session."""

    def __init__(self, exchange: SimulatedExchange, http: aiohttp.ClientSession) -> None:
        self.exchange = exchange
        self.http = http
        self.sockets: list[aiohttp.ClientWebSocketResponse] = []

    async def connect(self, path: str, *, autoping: bool = True) -> aiohttp.ClientWebSocketResponse:
        socket = await self.http.ws_connect(f"{self.exchange.url}{path}", autoping=autoping, max_msg_size=0)
        self.sockets.append(socket)
        return socket

    async def get(self, path: str, **headers: str) -> tuple[int, Any, dict[str, str]]:
        async with self.http.get(f"{self.exchange.url}{path}", headers=headers) as answer:
            body = await answer.read()
            try:
                decoded: Any = msgspec.json.decode(body)
            except msgspec.DecodeError:
                decoded = body
            return answer.status, decoded, dict(answer.headers)

    async def post(self, path: str) -> tuple[int, Any]:
        async with self.http.post(f"{self.exchange.url}{path}") as answer:
            return answer.status, await answer.json()

    async def status(self) -> dict[str, Any]:
        _, body, _ = await self.get("/control/status")
        assert isinstance(body, dict)
        return body


@asynccontextmanager
async def client_of(exchange: SimulatedExchange) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http:
        client = Client(exchange, http)
        yield client
        for socket in client.sockets:
            await socket.close()


async def messages(socket: aiohttp.ClientWebSocketResponse, count: int, seconds: float = 10.0) -> list[Any]:
    """The next `count` text messages, decoded."""
    found: list[Any] = []
    async with asyncio.timeout(seconds):
        while len(found) < count:
            message = await socket.receive()
            assert message.type is aiohttp.WSMsgType.TEXT, message
            found.append(msgspec.json.decode(message.data))
    return found


async def until(
    condition: Callable[[Any], bool], socket: aiohttp.ClientWebSocketResponse, seconds: float = 10.0
) -> Any:
    """The first message that fulfils the condition."""
    async with asyncio.timeout(seconds):
        while True:
            (message,) = await messages(socket, 1, seconds)
            if condition(message):
                return message


async def eventually(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> None:
    """Wait for something that this process can see."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.005)


def write_capture(path: Path, lines: Iterable[tuple[int, str]]) -> Path:
    """A capture of `(milliseconds after START, message)` lines."""
    text = "".join(f"{(START + at) * 1_000_000} {message}\n" for at, message in lines)
    path.write_bytes(gzip.compress(text.encode()))
    return path


def trade(
    at: int, number: int, price: str = "100.00", quantity: str = "1.0", symbol: str = "BTCUSDT"
) -> tuple[int, str]:
    body = {
        "e": "trade", "E": START + at, "s": symbol, "t": number, "p": price, "q": quantity, "T": START + at,
        "m": number % 2 == 0, "M": True,
    }  # fmt: skip
    return at, msgspec.json.encode({"stream": f"{symbol.lower()}@trade", "data": body}).decode()


def diff(
    at: int, first: int, last: int, bids: list[list[str]], asks: list[list[str]], symbol: str = "BTCUSDT"
) -> tuple[int, str]:
    body = {"e": "depthUpdate", "E": START + at, "s": symbol, "U": first, "u": last, "b": bids, "a": asks}
    return at, msgspec.json.encode({"stream": f"{symbol.lower()}@depth@100ms", "data": body}).decode()


def snapshot(at: int, last: int, bids: list[list[str]], asks: list[list[str]]) -> tuple[int, str]:
    return at, msgspec.json.encode({"lastUpdateId": last, "bids": bids, "asks": asks}).decode()
