"""How fast the stream job is: `python -m benchmarks.stream_job`, prints JSON with machine and versions.

Book events of both captures, repeated with rising ids and times, wait in a real broker; the job (Flink and all, pinned
to one core) reads them with every metric and alert on, and writes its rows back. `per_second` counts rows on the topic
of metrics between the first 500,000, which measure how Java compiles, and the last; `per_cpu_second` divides by the
processor time that all of the job took for them, which other work on the machine disturbs less. `latency` is another
run, on a broker that is empty at first: events at a steady rate, from the moment they are sent until the job has made
their row.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from marketpipeline.kafka import producer_config
from marketpipeline.records import Book, BookMetrics, decode, encode
from marketpipeline.settings import KafkaSettings
from marketpipeline.topics import TopicKind, topic_name

from benchmarks.support import CAPTURES, ROOT, free_port, machine, running_broker
from tests.flink_jobs.examples import plain_settings
from tests.flink_jobs.records import book_records
from tests.support.tied import tied

__all__ = ["main"]

PYTHON = ROOT / "flink-jobs" / ".venv" / "bin" / "python"
KINDS = ("trades", "book", "thresholds", "book-metrics", "candles", "alerts", "late", "dead-letters")
PARTITIONS = 3
WARM_UP = 500_000
START_SECONDS = 300.0
STALLED_SECONDS = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(description="The stream job: book events a second on one core, and its latency.")
    parser.add_argument("--events", type=int, default=1_500_000, help="book events of the first measurement")
    parser.add_argument(
        "--parallelism", type=int, default=1, help="parallel tasks, on as many cores as there are if above 1"
    )
    parser.add_argument("--rate", type=int, default=500, help="book events a second of the second one; 0 leaves it out")
    parser.add_argument("--seconds", type=int, default=30, help="how long the second one lasts")
    parser.add_argument("--backend", default="hashmap", choices=["hashmap", "rocksdb"], help="where state is kept")
    arguments = parser.parse_args()
    events = list(_events(arguments.events))
    result: dict[str, Any] = {"machine": machine(), "versions": _versions(), "state_backend": arguments.backend}
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-stream-job-") as name,
        running_broker(Path(name), _other_cores) as address,
    ):
        result["throughput"] = _throughput(Path(name), address, events, arguments.backend, arguments.parallelism)
        if arguments.rate:
            some = islice(events, arguments.rate * arguments.seconds)
            result["latency"] = _latency(Path(name), address, list(some), arguments.rate, arguments.backend)
    print(json.dumps(result, indent=2))
    return 0


def _events(wanted: int) -> Iterator[Book]:
    """Book events of both captures as they interleave; each round continues the one before in ids and time."""
    merged = sorted(
        (record for path in CAPTURES for record in book_records(path, 20)),
        key=lambda record: record.receive_time,
    )
    made = 0
    for turn in count():
        for record in merged:
            if made == wanted:
                return
            assert record.event_time is not None, "the captures' book events have the exchange's time"
            made += 1
            yield msgspec.structs.replace(
                record,
                update_id=record.update_id + turn * 10_000_000_000,
                event_time=record.event_time + turn * 400_000_000,
                receive_time=record.receive_time + turn * 400_000_000,
            )


def _throughput(folder: Path, address: str, events: list[Book], backend: str, parallelism: int) -> dict[str, Any]:
    prefix = "throughput"
    producer = _topics(address, prefix)
    for event in events:
        _send(producer, prefix, event)
    producer.flush(120)
    began = time.monotonic()
    points: list[tuple[float, int, float]] = []
    core = 0 if parallelism == 1 else None
    with _job(folder / prefix, address, prefix, backend, core, parallelism) as pid:
        changed = time.monotonic()
        while not points or points[-1][1] < len(events):
            time.sleep(0.2)
            points.append((time.monotonic(), _rows(address, prefix), _cpu_seconds(pid)))
            if len(points) < 2 or points[-1][1] != points[-2][1]:
                changed = time.monotonic()
            if time.monotonic() - changed > STALLED_SECONDS:
                raise SystemExit(f"no row came for {STALLED_SECONDS:g} s, {points[-1][1]} in all")
    counted = [point for point in points if point[1] >= min(WARM_UP, len(events) // 2)]
    (t0, n0, c0), (t1, n1, c1) = counted[0], counted[-1]
    return {
        "events": len(events),
        "bytes_per_event": round(sum(len(encode(event)) for event in events[:1000]) / 1000),
        "per_second": round((n1 - n0) / (t1 - t0)),
        "per_cpu_second": round((n1 - n0) / (c1 - c0)),
        "whole_run_seconds": round(t1 - began, 1),
    }


def _latency(folder: Path, address: str, events: list[Book], rate: int, backend: str) -> dict[str, Any]:
    prefix = "latency"
    producer = _topics(address, prefix)
    sent: dict[tuple[str, int], float] = {}
    with _job(folder / prefix, address, prefix, backend, core=None):
        began = time.time()
        for number, event in enumerate(events):
            wait = began + number / rate - time.time()
            if wait > 0:
                producer.poll(0)
                time.sleep(wait)
            sent[event.symbol, event.update_id] = time.time()
            _send(producer, prefix, event)
        producer.flush(30)
        deadline = time.monotonic() + STALLED_SECONDS
        while _rows(address, prefix) < len(events) and time.monotonic() < deadline:
            time.sleep(0.2)
    warm = began + len(events) / rate / 3
    took = sorted(arrived - at for key, arrived in _arrivals(address, prefix) if (at := sent[key]) > warm)
    return {
        "events_per_second": rate,
        "sent_to_row_on_topic_ms": {
            f"p{share}": round(took[min(len(took) - 1, len(took) * share // 100)] * 1000, 1) for share in (50, 90, 99)
        },
    }


@contextmanager
def _job(
    folder: Path, address: str, prefix: str, backend: str, core: int | None, parallelism: int = 1
) -> Iterator[int]:
    """A running job; gives its process id once it is ready."""
    folder.mkdir()
    port = free_port()
    settings = plain_settings(
        topic_prefix=prefix,
        consumer_group=f"{prefix}.stream-job",
        kafka={"bootstrap_servers": address},
        http={"host": "127.0.0.1", "port": port},
        checkpoint_directory=(folder / "checkpoints").as_uri(),
        checkpoint_interval_ms=1_000,
        state_backend=backend,
        parallelism=parallelism,
    )
    (folder / "job.json").write_text(json.dumps(settings))
    pinned = None if core is None else lambda: os.sched_setaffinity(0, {core})
    with (folder / "job.log").open("wb") as log:
        process = subprocess.Popen(
            tied([str(PYTHON), "-m", "marketpipeline_job", "--config", str(folder / "job.json")]),
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=pinned,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _ready(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the job did not start:\n{(folder / 'job.log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _topics(address: str, prefix: str) -> Producer:
    admin = AdminClient({"bootstrap.servers": address})
    for future in admin.create_topics([NewTopic(f"{prefix}.{kind}", PARTITIONS, 1) for kind in KINDS]).values():
        future.result(30)
    return Producer(producer_config(KafkaSettings(bootstrap_servers=address), "benchmark", linger_ms=1.0))


def _send(producer: Producer, prefix: str, event: Book) -> None:
    while True:
        try:
            producer.produce(topic_name(prefix, TopicKind.BOOK), encode(event), event.symbol)
            return
        except BufferError:
            producer.poll(0.1)


def _rows(address: str, prefix: str) -> int:
    consumer = Consumer({"bootstrap.servers": address, "group.id": "benchmark"})
    try:
        topic = topic_name(prefix, TopicKind.BOOK_METRICS)
        return sum(consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=10)[1] for n in range(PARTITIONS))
    finally:
        consumer.close()


def _arrivals(address: str, prefix: str) -> Iterator[tuple[tuple[str, int], float]]:
    """For each row its event, and when the broker took it: Kafka's own time of a record is the producer's."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "benchmark", "enable.auto.commit": False})
    topic = topic_name(prefix, TopicKind.BOOK_METRICS)
    try:
        consumer.assign([TopicPartition(topic, n, 0) for n in range(PARTITIONS)])
        left = _rows(address, prefix)
        while left:
            for message in consumer.consume(min(left, 10_000), 10):
                left -= 1
                value = message.value()
                assert value is not None
                row = decode(value)
                assert isinstance(row, BookMetrics)
                yield (row.symbol, row.update_id), message.timestamp()[1] / 1000
    finally:
        consumer.close()


def _cpu_seconds(pid: int) -> float:
    """Of a process and its children, the JVM among them."""
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    ticks = 0
    for one in (pid, *map(int, children.stdout.split())):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _other_cores() -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores - {0} or cores)


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
