"""How fast the sink into ClickHouse is: `python -m benchmarks.clickhouse`, prints JSON with machine and versions.

`rows_per_second`, book metrics in batches of 20,000 into the real engine, in turns, the best of `--rounds`:
`bare_client` inserts columns that were made before the clock runs, by the same client with the same compression; `sink`
writes decoded records. `latency_ms`: from a record's sending, through a broker and the runner with the default flush
interval, until the engine has said yes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from marketpipeline.records import encode
from marketpipeline.schema import KafkaSettings
from marketpipeline.sink_kinds.clickhouse import ClickHouseSinkSpec, ClickHouseStoreSettings
from marketpipeline.sinks.base import Delivery
from marketpipeline.sinks.clickhouse import ClickHouseSink
from marketpipeline.sinks.clickhouse.connection import connect
from pydantic import SecretStr

from benchmarks.sinks import TABLE, _latency, _records
from benchmarks.support import machine, running_broker
from tests.support.clickhouse import PASSWORD, RunningClickHouse

__all__ = ["main"]

BATCH = 20_000
COUNT = f"SELECT uniqExact(update_id) FROM {TABLE.name}"


def main() -> int:
    """Measure, print, and fail when the sink is below half of the bare client."""
    parser = argparse.ArgumentParser(description="ClickHouse: rows a second against the bare client, and latency.")
    parser.add_argument("--rows", type=int, default=200_000, help="rows of each measurement of speed")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--rate", type=int, default=2_000, help="records a second of the measurement of latency")
    parser.add_argument("--seconds", type=int, default=20, help="how long that lasts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-clickhouse-") as name:
        server = RunningClickHouse(Path(name) / "clickhouse")
        server.start()
        try:
            speed = _speed(server, arguments.rows, arguments.rounds)
            with running_broker(Path(name)) as address:
                kafka = KafkaSettings(bootstrap_servers=address)
                sink = ClickHouseSink(_database(server))
                latency = _latency(sink, kafka, ClickHouseSinkSpec().batch_rows, 500, arguments.rate, arguments.seconds)
        finally:
            server.stop()
    names = ("chdb-core", "clickhouse-connect", "confluent-kafka", "msgspec")
    result = {
        "machine": machine(),
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in names}},
        "rows_per_second": {way: round(rows) for way, rows in speed.items()},
        "share_of_bare_client": round(speed["sink"] / speed["bare_client"], 2),
        "latency_ms": latency,
    }
    print(json.dumps(result, indent=2))
    return 0 if speed["sink"] >= speed["bare_client"] / 2 else 1


def _database(server: RunningClickHouse) -> ClickHouseStoreSettings:
    return ClickHouseStoreSettings(url=server.url(server.create_database()), password=SecretStr(PASSWORD))


def _speed(server: RunningClickHouse, rows: int, rounds: int) -> dict[str, float]:
    """Rows a second by way, the best round of each; each round into a table of its own."""
    records = _records(rows)
    deliveries = [
        Delivery(record=r, payload=encode(r), topic="t", partition=0, offset=n) for n, r in enumerate(records)
    ]
    values = attrgetter(*TABLE.column_names)
    blocks = [list(zip(*map(values, records[n : n + BATCH]), strict=True)) for n in range(0, rows, BATCH)]
    best: dict[str, float] = {}

    def measure(way: str, work: Callable[[], None]) -> None:
        began = time.perf_counter()
        work()
        best[way] = max(best.get(way, 0.0), rows / (time.perf_counter() - began))

    for _ in range(rounds):
        store = _database(server)
        sink, client = ClickHouseSink(store), connect(store, "benchmark")
        sink.open()
        measure("sink", partial(_write, sink, [deliveries[n : n + BATCH] for n in range(0, rows, BATCH)]))
        assert client.command(COUNT) == rows
        client.command(f"TRUNCATE TABLE {TABLE.name}")
        measure("bare_client", partial(_insert, client, blocks))
        assert client.command(COUNT) == rows
        client.close()
        sink.close()
    return best


def _write(sink: ClickHouseSink, batches: Sequence[Sequence[Delivery]]) -> None:
    for batch in batches:
        sink.write(batch)


def _insert(client: Client, blocks: Sequence[Sequence[Any]]) -> None:
    types = [row[1] for row in client.query(f"DESCRIBE {TABLE.name}").result_rows[: len(TABLE.column_names)]]
    for block in blocks:
        client.insert(TABLE.name, block, TABLE.column_names, column_type_names=types, column_oriented=True)


if __name__ == "__main__":
    sys.exit(main())
