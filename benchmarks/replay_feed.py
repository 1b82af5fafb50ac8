"""How fast the exchange feeds a reader: `python -m benchmarks.replay_feed [CAPTURE...]`, prints JSON.

The captures are replayed at full speed. One process serves, this one reads with picows and does nothing with the
frames. Told for the best of some rounds: frames a second as read, and the processor time of the serving process for
each frame, which is what it can do at most on a core of its own.
"""

from __future__ import annotations

import asyncio
import json
import platform
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress

import psutil
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.support import CAPTURES, free_port, machine
from tests.support.tied import tied

ROUNDS = 5
FEEDS = ("depth@100ms", "bookTicker", "trade")


class Reader(WSListener):
    """Counts."""

    def __init__(self) -> None:
        self.frames = 0
        self.first = self.last = 0.0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One more."""
        if frame.msg_type is WSMsgType.TEXT:
            self.last = time.perf_counter()
            self.first = self.first or self.last
            self.frames += 1


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        body: bytes = answer.read()
        return body


async def read(port: int, symbols: list[str]) -> Reader:
    """Read a whole replay."""
    reader = Reader()
    streams = "/".join(f"{symbol.lower()}@{feed}" for symbol in symbols for feed in FEEDS)
    url = f"ws://127.0.0.1:{port}/stream?timeUnit=MICROSECOND&streams={streams}"
    transport, _ = await ws_connect(lambda: reader, url)
    for symbol in symbols:
        await asyncio.to_thread(get, f"http://127.0.0.1:{port}/api/v3/depth?symbol={symbol}")
    status = f"http://127.0.0.1:{port}/control/status"
    while b'"finished": true' not in await asyncio.to_thread(get, status):  # noqa: ASYNC110 - another process's state
        await asyncio.sleep(0.05)
    while reader.last > time.perf_counter() - 0.2:  # noqa: ASYNC110 - silence is no event
        await asyncio.sleep(0.05)
    transport.disconnect()
    return reader


def measure(captures: list[str], port: int) -> tuple[int, float, float]:
    """Frames, frames a second, and microseconds of the server's processor for each."""
    options = [option for capture in captures for option in ("--replay", capture)]
    command = [sys.executable, "-m", "marketpipeline", "simulator", *options, "--speed", "max", "--port", str(port)]
    server = subprocess.Popen(tied(command), stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with suppress(OSError):
                status = get(f"http://127.0.0.1:{port}/control/status")
                break
            time.sleep(0.1)
        symbols = [
            part for part in status.decode().partition('"symbols": [')[2].partition("]")[0].split('"') if part.isalnum()
        ]
        process = psutil.Process(server.pid)
        before = sum(process.cpu_times()[:2])
        reader = uvloop.run(read(port, symbols))
        used = sum(process.cpu_times()[:2]) - before
        return reader.frames, reader.frames / (reader.last - reader.first), used / reader.frames * 1e6
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    captures = sys.argv[1:] or [str(path) for path in CAPTURES]
    found = [measure(captures, free_port()) for _ in range(ROUNDS)]
    frames, rate, cost = max(found, key=lambda one: one[1])
    told = {"frames": frames, "per_second": round(rate), "server_microseconds_per_frame": round(cost, 2)}
    print(json.dumps({"machine": machine(), "python": platform.python_version(), **told}, indent=2))


if __name__ == "__main__":
    main()
