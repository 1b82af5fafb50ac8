"""Mutated frames by the million: `python -m benchmarks.mutations`, prints JSON with machine and versions.

Of each exchange real frames are broken (bits, cut, fields swapped, huge numbers, other types, deep nesting) and read by
its mapper and by a whole session. Each must be records, a control message, a dead letter or nothing; no exception may
leave, and memory must not grow. `bytes_per_frame` is the slope of the resident memory over the last three quarters.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from marketpipeline.ingestion.context import CloseConnection, Get, OpenConnection
from marketpipeline.ingestion.session import Session
from marketpipeline.settings import IngestionSettings, KafkaSettings
from marketpipeline.topics import EXCHANGE_FEEDS, TopicKind
from marketpipeline.venues import venues
from marketpipeline.venues.adapter import StreamOptions, load_adapter
from marketpipeline.venues.instruments import Contract, Instrument
from marketpipeline.venues.messages import FlawedData, FrameError

from benchmarks.support import machine
from tests.support import captures
from tests.support.mutations import mutated

__all__ = ["SOURCES", "break_frames", "main"]

SOURCES: dict[str, tuple[str, tuple[str, ...]]] = {
    "binance": (captures.BTC, ("BTCUSDT",)),
    "okx": (captures.OKX, ("BTC-USDT", "BTC-USD-220527", "UNI-USD-SWAP")),
}
"""Capture and symbols of each exchange."""
MOST = 20_000
"""Frames of a capture that are taken as examples."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Mutated frames: what becomes of them.")
    parser.add_argument("--count", type=int, default=1_000_000, help="frames of each exchange")
    parser.add_argument("--exchange", choices=sorted(SOURCES), action="append", help="all of them, by default")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    result: dict[str, Any] = {"machine": machine()}
    for exchange in arguments.exchange or SOURCES:
        result[exchange] = break_frames(exchange, arguments.count, arguments.seed)
    print(json.dumps(result, indent=2))
    return 0


def break_frames(exchange: str, count: int, seed: int) -> dict[str, Any]:
    """What became of so many; raises whatever leaves the mapper or the session."""
    name, symbols = SOURCES[exchange]
    path = captures.find(name)
    if path is None:
        raise FileNotFoundError(f"no capture {name} in {captures.REAL}")
    adapter, full = load_adapter(exchange), [f"{exchange}:{symbol}" for symbol in symbols]
    mapper = adapter.mapper(adapter.streams(full, EXCHANGE_FEEDS, StreamOptions()))
    start, frames = _frames(path)
    session = _Session(exchange, symbols, start)
    outcomes: Counter[str] = Counter()
    memory: list[tuple[int, int]] = []
    began, every = time.monotonic(), max(1, count // 40)
    for number, frame in enumerate(mutated(frames, count, seed)):
        outcomes[_outcome(mapper, frame, start)] += 1
        session.take(frame)
        if number % every == 0:
            memory.append((number, _resident()))
    return {
        "frames": count,
        "outcomes": dict(outcomes.most_common()),
        "session": session.counts(),
        "bytes_per_frame": round(_slope(memory[len(memory) // 4 :]), 3),
        "resident_mb": round(memory[-1][1] / 2**20, 1),
        "seconds": round(time.monotonic() - began, 1),
    }


def _outcome(mapper: Any, frame: bytes, time: int) -> str:
    try:
        said = mapper.map(frame, time)
    except FrameError:
        return "dead letter"
    if isinstance(said, FlawedData):
        return "dead letter of a row" if said.bad else "right and says nothing"
    return "records" if isinstance(said, tuple) else "nothing" if said is None else "control"


class _Session:
    """A session whose connections are there at once, and whose exchange tells nothing but its time."""

    def __init__(self, exchange: str, symbols: tuple[str, ...], start: int) -> None:
        venue = venues()[exchange]
        settings = IngestionSettings(
            pipeline="mutations", kafka=KafkaSettings(bootstrap_servers="unused"), topic_prefix="mutations",
            exchange=exchange, symbols=list(symbols), feeds=[*EXCHANGE_FEEDS], levels=20, websocket_url="ws://host",
            rest_url="http://host",
        )  # fmt: skip
        full = [f"{exchange}:{symbol}" for symbol in symbols]
        known = {symbol: Instrument(Contract(1.0)) for symbol in full}
        self.written: Counter[str] = Counter()
        self._session = Session(
            settings, full, load_adapter(exchange), self, max_streams=venue.max_streams, instruments=known,
            random=Random(1),
        )  # fmt: skip
        self._session.exchange_clock.told(start, start)
        self._start = start
        self._numbers: list[int] = []
        self._now = 0.0

    def writer(self, kind: TopicKind, symbol: str) -> Any:
        def write(record: Any) -> None:
            self.written[kind.value] += 1

        return write

    def take(self, frame: bytes) -> None:
        """One frame, a millisecond after the last."""
        self._now += 0.001
        if not self._numbers or round(self._now * 1000) % 50 == 0:
            self._session.tick(self._now, self._start + int(self._now * 1e6))
            self._carry_out()
        for number in self._numbers[-1:]:
            connection = self._session.connection(number)
            if connection is not None:
                connection.frame(frame, self._start + int(self._now * 1e6))

    def counts(self) -> dict[str, Any]:
        return {"written": dict(self.written), "events": dict(self._session.events)}

    def _carry_out(self) -> None:
        commands = self._session.commands[:]
        self._session.commands.clear()
        for command in commands:
            match command:
                case OpenConnection(number, _):
                    self._numbers.append(number)
                    self._session.connected(number, self._now)
                case CloseConnection(number, reason):
                    self._numbers.remove(number)
                    self._session.closed(number, reason)
                case Get(call, _):
                    self._session.limiter.failed(call, "no answer", self._now)


def _frames(path: Path) -> tuple[int, list[bytes]]:
    """When the first came, in µs, and as many as are taken."""
    with gzip.open(path) as lines:
        found = [line.rstrip().split(b" ", 1) for line in islice(lines, MOST)]
    return int(found[0][0]) // 1000, [frame for _, frame in found]


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _slope(points: list[tuple[int, int]]) -> float:
    """Bytes a frame, by least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


if __name__ == "__main__":
    raise SystemExit(main())
