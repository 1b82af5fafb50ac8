"""One exchange beside another: `python -m benchmarks.exchanges`, prints JSON with machine and versions.

The same simulated market is recorded as each exchange's messages (book changes, trades, best quotes), and these go
from bytes to acknowledged records of a real broker, ingestion on one core, turn by turn. The best of each is told:
other work on the machine can only make it slower. The last case is the first one with the feed `raw`, which keeps each
message a second time, as it came.
"""

from __future__ import annotations

import argparse
import gzip
import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from confluent_kafka.admin import AdminClient, NewTopic
from marketpipeline.ingestion.context import Get, OpenConnection, Send
from marketpipeline.ingestion.publisher import KafkaPublisher
from marketpipeline.ingestion.session import Session
from marketpipeline.record_kinds import FEED_TOPIC
from marketpipeline.settings import IngestionSettings
from marketpipeline.simulator.market_state import MarketState
from marketpipeline.simulator.protocols import protocols
from marketpipeline.simulator.recording.main import record_simulation
from marketpipeline.simulator.recording.simulation import Simulation
from marketpipeline.spec import load_object
from marketpipeline.topics import TopicKind, topic_name
from marketpipeline.venues import split_symbol, venues
from marketpipeline.venues.adapter import load_adapter

from benchmarks.ingestion import PARTITIONS, call, pick, pin_elsewhere, rates
from benchmarks.support import machine, running_broker

__all__ = ["main"]

SYMBOLS = ("binance:BTCUSDT", "okx:BTC-USDT", "okx:BTC-USDT-SWAP")
"""The same market three times; the last in contracts."""
FEEDS = ["book", "trades", "quotes"]
CASES = {**dict.fromkeys(SYMBOLS, FEEDS), f"{SYMBOLS[0]} raw": [*FEEDS, "raw"]}
START = 1_723_161_255_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description="Exchanges beside each other: frames a second on one core.")
    parser.add_argument("--seconds", type=int, default=900, help="how much of the market is recorded")
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each, of which the best is told")
    parser.add_argument("--one", nargs=2, metavar=("SETTINGS", "CAPTURE"), help=argparse.SUPPRESS)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*map(Path, arguments.one))))
        return 0
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-exchanges-") as name,
        running_broker(Path(name), pin_elsewhere) as address,
    ):
        folder = Path(name)
        found: dict[str, list[dict[str, Any]]] = {case: [] for case in CASES}
        recorded = {symbol: _record(folder, symbol, arguments.seconds) for symbol in SYMBOLS}
        for number in range(arguments.repeat):
            for turn, (case, feeds) in enumerate(CASES.items()):
                symbol = case.partition(" ")[0]
                settings = _settings(folder, address, symbol, feeds, f"run-{number}-{turn}")
                done = call(
                    [sys.executable, "-m", "benchmarks.exchanges", "--one", str(settings), str(recorded[symbol])]
                )
                assert not done["dlq"] + done["gaps"] + done["unacknowledged"], done
                found[case].append(rates(done))
    print(json.dumps({"machine": machine(), **{case: pick(all_of) for case, all_of in found.items()}}, indent=2))
    return 0


def measure(settings_file: Path, capture: Path) -> dict[str, Any]:
    """From frame bytes to produced records, and until the last is acknowledged."""
    settings = IngestionSettings.load(settings_file)
    publisher = KafkaPublisher(settings.kafka, settings.topic_prefix, "exchanges")
    publisher.connect([*(FEED_TOPIC[feed] for feed in settings.feeds), TopicKind.EVENTS, TopicKind.DEAD_LETTERS])
    frames, answers = _read(capture)
    session = _connected(settings, publisher, answers, frames)
    take = session.taker(next(iter(session._connections)))
    assert take is not None
    waited, began, cpu_began = 0.0, time.perf_counter(), time.thread_time()
    for start in range(0, len(frames), 500):
        now = time.time_ns() // 1000
        for frame in frames[start : start + 500]:
            take(frame, now)
        if publisher.pressed(False):
            pause = time.perf_counter()
            while publisher.pressed(True):
                time.sleep(0.001)
            waited += time.perf_counter() - pause
    seconds, cpu_seconds = time.perf_counter() - began - waited, time.thread_time() - cpu_began
    unacknowledged = publisher.flush(120)
    return {
        "frames": len(frames), "produced": sum(publisher.produced().values()), "dlq": session.dead_letters,
        "gaps": session.events["gap"], "seconds": seconds, "cpu_seconds": cpu_seconds, "waited": waited,
        "unacknowledged": unacknowledged, "acknowledged_after": time.perf_counter() - began,
        "bytes_per_frame": round(sum(map(len, frames)) / len(frames)),
    }  # fmt: skip


def _connected(
    settings: IngestionSettings, publisher: KafkaPublisher, answers: list[tuple[str, bytes]], frames: list[bytes]
) -> Session:
    """A session whose connections are subscribed and whose book has its snapshot, by the exchange's own protocol."""
    protocol, adapter = protocols()[settings.exchange], load_adapter(settings.exchange)
    market = MarketState(protocol.events, settings.symbols, 10)
    instruments: dict[str, Any] = {}
    for request in adapter.instruments([f"{settings.exchange}:{symbol}" for symbol in settings.symbols]):
        answer = protocol.answer(request.path, dict(request.params), {}, market, START)
        instruments |= request.read(answer.body, 0)
    session = Session(
        settings, list(instruments), adapter, publisher, max_streams=venues()[settings.exchange].max_streams,
        instruments=instruments, random=Random(1),
    )  # fmt: skip
    session.exchange_clock.told(START, time.time_ns() // 1000)
    exchange: dict[int, Any] = {}
    for step in range(40):
        session.tick(step * 0.1, START)
        commands, session.commands[:] = session.commands[:], []
        for command in commands:
            match command:
                case OpenConnection(number, url):
                    path, _, query = url.partition("9/")[2].partition("?")
                    exchange[number] = protocol.open(f"/{path}", query, 1024, market)
                    session.connected(number, step * 0.1)
                case Send(number, message):
                    for reply in exchange[number].receive(message).replies:
                        session._connections[number].frame(reply, 0)
                case Get(number, request) if answers and request.path in answers[0][0]:
                    session.limiter.answered(number, 200, {}, answers.pop(0)[1], 0.0, 0)
        if step == 20 and answers:
            session._connections[1].frame(next(frame for frame in frames if b"depth" in frame[:60]), START)
    assert session.ready_connections == len(session.managers)
    return session


def _read(capture: Path) -> tuple[list[bytes], list[tuple[str, bytes]]]:
    frames: list[bytes] = []
    answers: list[tuple[str, bytes]] = []
    with gzip.open(capture) as lines:
        for line in lines:
            payload = line.rstrip().split(b" ", 1)[1]
            if payload.startswith(b"http"):
                url, _, body = payload.partition(b" ")
                answers.append((url.decode(), body))
            else:
                frames.append(payload)
    return frames, answers


def _record(folder: Path, symbol: str, seconds: int) -> Path:
    path = folder / f"{split_symbol(symbol)[1]}.gz"
    head = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "b"}}
    pipeline = load_object(head | {"spec": {"symbols": [symbol], "feeds": FEEDS}})
    record_simulation(pipeline, path, Simulation(8, START, seconds, ("quiet:seconds=1@0s",)))
    return path


def _settings(folder: Path, address: str, symbol: str, feeds: list[str], prefix: str) -> Path:
    admin = AdminClient({"bootstrap.servers": address})
    topics = [NewTopic(topic_name(prefix, kind), PARTITIONS, 1) for kind in TopicKind]
    for made in admin.create_topics(topics).values():
        made.result(30)
    exchange, name = split_symbol(symbol)
    path = folder / "settings.json"
    settings = {
        "pipeline": "benchmark", "kafka": {"bootstrap_servers": address}, "topic_prefix": prefix, "exchange": exchange,
        "symbols": [name], "feeds": feeds, "levels": 20, "websocket_url": "ws://127.0.0.1:9",
        "rest_url": "http://127.0.0.1:9",
    }  # fmt: skip
    path.write_text(json.dumps(settings))
    return path


if __name__ == "__main__":
    sys.exit(main())
