"""How fast the stream job is: `python -m benchmarks.stream_job`, prints JSON with machine and versions.

Records of both captures, repeated with rising ids and times, wait in a real broker; the job (Flink and all, pinned to
one core where it has one task) reads them with every metric, rule and statistic on, and writes its rows back.
`per_second` is between the first 500,000 records, which measure how Java compiles (it goes on for longer: `--warm-up`
leaves more of them out), and the last; `per_cpu_second` divides by the processor time that all of the job took for
them, which other work on the machine disturbs less.
`latency` is another run: book events at a steady rate, each with the time at which it is sent as its receive time,
until a consumer has the alert that it made.

    python -m benchmarks.stream_job --feeds book --backends hashmap --parallelism 1 --rate 0 --profile

tells where the time goes (`job_profile`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice, product
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition
from marketpipeline.kafka import producer_config
from marketpipeline.records import Alert, Book, Heartbeat, Record, Trade, decode, encode
from marketpipeline.settings import KafkaSettings
from marketpipeline.topics import TopicKind, topic_name

from benchmarks.job_process import PARTITIONS, PYTHON, Job, ends, make_topics, other_cores, produce, running_job
from benchmarks.job_profile import profile
from benchmarks.support import CAPTURES, ROOT, machine, running_broker
from tests.flink_jobs.records import book_records, trade_records

__all__ = ["FEEDS", "gauges", "main", "repeated"]

WARM_UP = 500_000
PROFILE_SECONDS = 15
STALLED_SECONDS = 60.0
SYMBOLS = ("binance:BTCUSDT", "binance:ETHUSDT")
ROUND_US = 400_000_000
"""So much later each round of the captures is than the one before."""
FEEDS: dict[str, tuple[TopicKind, Callable[[Path], Sequence[Record]]]] = {
    "book": (TopicKind.BOOK, lambda path: book_records(path, 20)),
    "trades": (TopicKind.TRADES, trade_records),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="The stream job: records a second on one core, and its latency.")
    parser.add_argument("--events", type=int, default=1_500_000, help="records of each measurement of throughput")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="records of these that are left out")
    parser.add_argument("--feeds", nargs="*", default=list(FEEDS), choices=list(FEEDS))
    parser.add_argument("--backends", nargs="*", default=["hashmap", "rocksdb"], choices=["hashmap", "rocksdb"])
    parser.add_argument("--parallelism", type=int, nargs="*", default=[1, 2], help="tasks; above 1 on all cores")
    parser.add_argument("--rate", type=int, default=5_000, help="book events a second of the latency; 0 leaves it out")
    parser.add_argument("--seconds", type=int, default=40, help="how long that lasts; its first half is left out")
    parser.add_argument("--profile", action="store_true", help="also where the time goes")
    given = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "versions": _versions(), "throughput": []}
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-stream-job-") as name,
        running_broker(Path(name), other_cores) as address,
    ):
        for feed in given.feeds:
            make_topics(address, feed, SYMBOLS)
            kind, read = FEEDS[feed]
            records = islice(repeated(read), given.events)
            produce(address, topic_name(feed, kind), ((one.symbol, encode(one)) for one in records))
            for backend, tasks in product(given.backends, given.parallelism):
                folder = Path(name) / f"{feed}-{backend}-{tasks}"
                found = _throughput(
                    folder, address, feed, backend, tasks,
                    events=given.events, warm_up=min(given.warm_up, given.events // 2), profiled=given.profile,
                )  # fmt: skip
                result["throughput"].append(found)
                print(json.dumps(found), file=sys.stderr, flush=True)
        if given.rate:
            events = list(islice(repeated(FEEDS["book"][1]), given.rate * given.seconds))
            result["latency"] = _latency(Path(name) / "latency", address, events, given.rate, given.backends[0])
    print(json.dumps(result, indent=2))
    return 0


def repeated(read: Callable[[Path], Sequence[Record]]) -> Iterator[Any]:
    """Records of both captures as they interleave, for ever; each round continues the one before in ids and time."""
    merged: list[Any] = sorted((record for path in CAPTURES for record in read(path)), key=lambda one: one.receive_time)
    for turn in count():
        later, higher = turn * ROUND_US, turn * 10_000_000_000
        for one in merged:
            moved = {"event_time": one.event_time + later, "receive_time": one.receive_time + later}
            if isinstance(one, Book):
                moved["update_id"] = one.update_id + higher
            elif isinstance(one, Trade):
                moved |= {"trade_id": one.trade_id + higher, "trade_time": one.trade_time + later}
            else:
                assert isinstance(one, Heartbeat)
            yield msgspec.structs.replace(one, **moved)


def _throughput(
    folder: Path, address: str, feed: str, backend: str, tasks: int, *, events: int, warm_up: int, profiled: bool
) -> dict[str, Any]:
    points: list[tuple[float, int, float]] = []
    shares: dict[str, Any] = {}
    core = 0 if tasks == 1 else None
    with running_job(folder, address, feed, core=core, state_backend=backend, parallelism=tasks) as job:
        changed = time.monotonic()
        while not points or points[-1][1] < events:
            time.sleep(0.2)
            points.append((time.monotonic(), _read(job, feed), job.cpu_seconds()))
            if len(points) < 2 or points[-1][1] != points[-2][1]:
                changed = time.monotonic()
            if time.monotonic() - changed > STALLED_SECONDS:
                raise SystemExit(f"nothing was read for {STALLED_SECONDS:g} s, {points[-1][1]} in all")
            if profiled and not shares and points[-1][1] > warm_up:
                shares = {"profile": profile(job, folder, PROFILE_SECONDS)}
        checkpoint = {name: value for name, value in gauges(job) if name.startswith("checkpoint")}
    warm = [(t, n, c) for t, n, c in points if warm_up <= n < events]
    (t0, n0, c0), (t1, n1, c1) = warm[0], warm[-1]
    return {
        "feed": feed, "backend": backend, "parallelism": tasks, "events": events, "warm_up": warm_up,
        "per_second": round((n1 - n0) / (t1 - t0)), "per_cpu_second": round((n1 - n0) / (c1 - c0)),
        "start_seconds": job.start_seconds, **checkpoint, **shares,
    }  # fmt: skip


def _read(job: Job, feed: str) -> int:
    """Records that the job has read; Flink tells it once a second."""
    return int(job.health().get("read", {}).get(feed, 0))


def gauges(job: Job) -> Iterator[tuple[str, float]]:
    """Its metrics that have no label, by their names without the prefix."""
    prefix = "marketpipeline_stream_job_"
    for line in job.metrics().splitlines():
        name, _, value = line.partition(" ")
        if name.startswith(prefix) and "{" not in name:
            yield name.removeprefix(prefix), float(value)


def _latency(folder: Path, address: str, events: Sequence[Book], rate: int, backend: str) -> dict[str, Any]:
    prefix = "latency"
    make_topics(address, prefix, SYMBOLS)
    arrived: list[tuple[float, Alert]] = []
    over = threading.Event()
    with running_job(folder, address, prefix, state_backend=backend):
        reading = threading.Thread(target=_arrivals, args=(address, prefix, arrived, over))
        reading.start()
        began = _send_steadily(address, topic_name(prefix, TopicKind.BOOK), events, rate)
        deadline = time.monotonic() + STALLED_SECONDS
        while ends(address, topic_name(prefix, TopicKind.BOOK_METRICS)) < len(events) and time.monotonic() < deadline:
            time.sleep(0.2)
        over.set()
        reading.join()
    warm = (began + len(events) / rate / 2) * 1e6
    took = sorted(at * 1e3 - alert.receive_time / 1e3 for at, alert in arrived if alert.receive_time > warm)
    shares = {f"p{share}": round(took[min(len(took) - 1, len(took) * share // 100)], 1) for share in (50, 90, 99)}
    return {"events_per_second": rate, "backend": backend, "alerts": len(took), "sent_to_alert_read_ms": shares}


def _send_steadily(address: str, topic: str, events: Sequence[Book], rate: int) -> float:
    """Send at a rate, each with its own time; gives when that began."""
    producer = Producer(producer_config(KafkaSettings(bootstrap_servers=address), "benchmark", linger_ms=1.0))
    began = time.time()
    for number, event in enumerate(events):
        if (wait := began + number / rate - time.time()) > 0:
            producer.poll(0)
            time.sleep(wait)
        now = msgspec.structs.replace(event, receive_time=int(time.time() * 1e6))
        producer.produce(topic, encode(now), now.symbol)
    assert producer.flush(30) == 0
    return began


def _arrivals(address: str, prefix: str, into: list[tuple[float, Alert]], over: threading.Event) -> None:
    """Alerts, and when each was read, until it is over and no more comes."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "benchmark", "fetch.wait.max.ms": 5})
    try:
        consumer.assign([TopicPartition(topic_name(prefix, TopicKind.ALERTS), n, 0) for n in range(PARTITIONS)])
        while not over.is_set():
            for message in consumer.consume(1_000, 0.001) or ():
                value = message.value()
                assert value is not None, message.error()
                row = decode(value)
                assert isinstance(row, Alert)
                into.append((time.time(), row))
    finally:
        consumer.close()


def _versions() -> dict[str, str]:
    asked = "import importlib.metadata as m; print(m.version('apache-flink'))"
    flink = subprocess.run([str(PYTHON), "-c", asked], capture_output=True, text=True, check=True).stdout.strip()
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr.splitlines()[0]
    jars = {jar.name for jar in (ROOT / ".cache" / "jars").glob("*/*kafka*.jar")}
    connector = next((name for name in jars if "connector" in name), "?")
    broker = next((name for name in jars if name.startswith("kafka_")), "?")
    return {"flink": flink, "java": java, "connector": connector, "broker": broker, "python": sys.version.split()[0]}


if __name__ == "__main__":
    sys.exit(main())
