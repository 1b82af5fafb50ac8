"""How long a record takes to the readers of the stream: `python -m benchmarks.stream`, prints JSON.

`--readers` WebSockets, each of one of `--symbols` symbols, read what `marketpipeline api` streams from a real broker,
while `--rate` records of book measures a second are written to it. The API's process is pinned to one core; broker,
writer and readers share the others. Every record tells in `process_time` when it was handed to the producer; a reader
notes the difference when it has the frame, so the broker's part of the way is in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import re
import sys
import tempfile
import threading
import time
from array import array
from importlib.metadata import version
from pathlib import Path
from typing import Any

import picows
import psutil
import uvloop
from confluent_kafka import Producer
from marketpipeline.kafka import producer_config
from marketpipeline.plan import Topic
from marketpipeline.records import BookMetrics, encode
from marketpipeline.settings import ApiSettings, HttpSettings, KafkaSettings
from marketpipeline.topic_admin import ensure_topics
from marketpipeline.topics import TopicKind, topic_name

from benchmarks.support import free_port, machine, off_first_core, percentiles, running_api, running_broker

__all__ = ["main"]

PREFIX = "stream"
WARM_UP_SECONDS = 3.0
_PROCESS_TIME = re.compile(rb'"process_time":"([^"]+)"')


def main() -> int:
    """Measure and print; fail when a reader lost something."""
    parser = argparse.ArgumentParser(description="From a record to the readers of the stream.")
    parser.add_argument("--readers", type=int, default=1_000)
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--rate", type=int, default=500, help="records a second, over all symbols")
    parser.add_argument("--seconds", type=float, default=15.0)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-stream-") as name,
        running_broker(Path(name), off_first_core) as address,
    ):
        kafka = KafkaSettings(bootstrap_servers=address)
        _make_topics(kafka)
        symbols = [f"binance:S{number:03}USDT" for number in range(arguments.symbols)]
        settings = ApiSettings(
            pipeline="stream", http=HttpSettings(host="127.0.0.1", port=free_port()), symbols=symbols, windows=["1m"],
            feeds=["book", "trades"], kafka=kafka, topic_prefix=PREFIX, rate_limit=None,
        )  # fmt: skip
        off_first_core()
        with running_api(Path(name), settings) as (url, process):
            stream = url.replace("http:", "ws:") + "/api/v1/stream"
            found = uvloop.run(_measure(stream, kafka, symbols, arguments, process))
            found["api_memory_mb"] = process.memory_info().rss >> 20
    versions = {name: version(name) for name in ("uvicorn", "websockets", "uvloop", "confluent-kafka")}
    told = {"machine": machine(), "versions": {"python": platform.python_version(), **versions}, **vars(arguments)}
    print(json.dumps({**told, **found}, indent=2))
    return 1 if found["thinned"] else 0


def _make_topics(kafka: KafkaSettings) -> None:
    kinds = (TopicKind.TRADES, TopicKind.BOOK_METRICS, TopicKind.CANDLES, TopicKind.ALERTS)
    ensure_topics(
        kafka, [Topic(name=topic_name(PREFIX, k), kind=k, partitions=3, replication_factor=1, config={}) for k in kinds]
    )


class _Reader(picows.WSListener):
    """Notes how old the newest and the oldest record of each frame are."""

    delays = array("d")
    records = thinned = snapshots = 0
    noting = False

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        now = time.time()
        payload = frame.get_payload_as_bytes()
        kind = _Reader
        if payload.startswith(b'{"type":"updates"'):
            times = _PROCESS_TIME.findall(payload)
            kind.records += len(times)
            if kind.noting:
                kind.delays.extend(_age(text, now) for text in times)
        elif payload.startswith(b'{"type":"thinned"'):
            kind.thinned += 1
        else:
            kind.snapshots += 1


def _age(text: bytes, now: float) -> float:
    """Seconds since a time of less than a day ago, by the time of day alone: `…T23:54:00.123456Z`."""
    hours, minutes, seconds = text[11:26].split(b":")
    return (now - (int(hours) * 3600 + int(minutes) * 60 + float(seconds))) % 86_400


async def _measure(
    url: str, kafka: KafkaSettings, symbols: list[str], arguments: argparse.Namespace, api: psutil.Process
) -> dict[str, Any]:
    transports = []
    for number in range(arguments.readers):
        asked = f"{url}?symbols={symbols[number % len(symbols)]}&kinds=book"
        transports.append((await picows.ws_connect(_Reader, asked))[0])
    while _Reader.snapshots < arguments.readers:  # noqa: ASYNC110 - counted by callbacks
        await asyncio.sleep(0.1)
    writer = _Writer(kafka, symbols, arguments.rate, WARM_UP_SECONDS + arguments.seconds)
    writer.start()
    await asyncio.sleep(WARM_UP_SECONDS)
    _Reader.noting, before, began, used = True, _Reader.records, time.monotonic(), sum(api.cpu_times()[:2])
    await asyncio.sleep(arguments.seconds)
    seconds = time.monotonic() - began
    delivered, busy = (_Reader.records - before) / seconds, (sum(api.cpu_times()[:2]) - used) / seconds
    _Reader.noting = False
    await asyncio.to_thread(writer.join)
    await asyncio.sleep(1)
    for transport in transports:
        transport.disconnect()
    told = {"delivered_per_second": round(delivered), "api_share_of_a_core": round(busy, 3)}
    return {**told, "record_to_reader_ms": percentiles(_Reader.delays), "thinned": _Reader.thinned}


class _Writer(threading.Thread):
    """Writes records evenly; one before all others, since a new broker lets the first wait for the producer's id."""

    def __init__(self, kafka: KafkaSettings, symbols: list[str], rate: int, seconds: float) -> None:
        super().__init__(daemon=True)
        self._producer = Producer(producer_config(kafka, "benchmark", linger_ms=1))
        self._symbols, self._rate, self._count = symbols, rate, round(rate * seconds)
        self._produce(0)
        self._producer.flush(60)

    def run(self) -> None:
        began = time.monotonic()
        for number in range(1, self._count):
            time.sleep(max(0.0, began + number / self._rate - time.monotonic()))
            self._produce(number)
        self._producer.flush(10)

    def _produce(self, number: int) -> None:
        symbol, topic = self._symbols[number % len(self._symbols)], topic_name(PREFIX, TopicKind.BOOK_METRICS)
        self._producer.produce(topic, key=symbol, value=encode(_record(symbol, number)))
        self._producer.poll(0)


def _record(symbol: str, number: int) -> BookMetrics:
    now = time.time_ns() // 1_000
    return BookMetrics(
        symbol=symbol, event_time=now, event_time_estimated=False, receive_time=now, process_time=now,
        update_id=number, best_bid=61_710.0, best_bid_quantity=1.2, best_ask=61_710.01, best_ask_quantity=0.8,
        mid=61_710.005, spread=0.01, spread_bps=0.00162, imbalance=0.31, weighted_imbalance=0.28, vtob_ratio=0.12,
        weighted_mid=61_710.006, bid_quantity=10.9, ask_quantity=5.7, bid_depth=672_639.0, ask_depth=351_747.1,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
