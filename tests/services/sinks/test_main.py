"""The sinks as processes, as a platform runs them: started by their command, probed, stopped, killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port, wait_for
from tests.services.sinks.samples import BTC, ETH, book, candle, every_kind, trade
from tests.services.sinks.stores import PostgresStore, ValkeyStore
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker
from tests.support.postgres import PASSWORD, RunningPostgres
from tests.support.tied import tied
from tests.support.valkey import RunningValkey


class Process:
    """`marketpipeline sink-…` with a settings file of its own."""

    def __init__(self, folder: Path, command: str, topics: Topics, store: dict[str, Any], **changes: Any) -> None:
        self.port = free_port()
        self.group = f"{topics.prefix}.{command}"
        self._command = command
        self._log = folder / "log"
        self._config = folder / "settings.json"
        settings: dict[str, Any] = {
            "pipeline": "test",
            "http": {"host": "127.0.0.1", "port": self.port},
            "kafka": {"bootstrap_servers": topics.kafka.bootstrap_servers},
            "topic_prefix": topics.prefix,
            "consumer_group": self.group,
            "batch_rows": 500,
            "flush_interval_ms": 20,
            "store": store,
        }
        self._config.write_text(json.dumps(settings | changes))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        arguments = [sys.executable, "-m", "marketpipeline", self._command, "--config", str(self._config)]
        environment = os.environ | {"MARKETPIPELINE_STORE__PASSWORD": PASSWORD}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(tied(arguments), env=environment, stdout=log, stderr=log)
        wait_for(self.is_ready, "the sink is ready", seconds=60)

    def is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            return bool(self.health()["status"] == "ok")
        except (OSError, urllib.error.HTTPError):
            return False

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get("/health"))
        return found

    def log(self) -> str:
        return self._log.read_text()

    def end(self, how: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(timeout=30)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.end(signal.SIGKILL)


@pytest.fixture
def topics(broker: RunningBroker) -> Topics:
    return Topics(broker)


@pytest.fixture
def postgres_store(postgres: RunningPostgres, database: str) -> PostgresStore:
    return PostgresStore(postgres, database)


@pytest.fixture
def timescale(topics: Topics, postgres_store: PostgresStore, tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, "sink-timescale", topics, {"url": postgres_store.settings.url})
    yield process
    process.close()


def test_health_metrics_and_a_stop_that_loses_nothing(
    topics: Topics, timescale: Process, postgres_store: PostgresStore
) -> None:
    topics.put(*every_kind(BTC), *every_kind(ETH))
    timescale.start()
    wait_for(lambda: timescale.health()["rows"] == 18, "the rows are stored")
    health = timescale.health()
    assert (health["sink"], health["dead_letters"], health["partitions"]) == ("timescale", 0, 27)
    metrics = timescale.get("/metrics")
    assert 'marketpipeline_sink_rows_total{kind="trade",' in metrics
    assert 'marketpipeline_sink_latency_seconds_bucket{hop="receive_store",kind="candle"' in metrics
    assert 'hop="process_store",kind="book_metrics"' in metrics
    wait_for(lambda: "marketpipeline_sink_lag{" in timescale.get("/metrics"), "the lag is shown")
    topics.put(*(trade(number) for number in range(2, 500)))
    assert timescale.end(signal.SIGTERM) == 0, timescale.log()
    stored = postgres_store.query("SELECT count(*) FROM trades WHERE symbol = %s", BTC)[0][0]
    committed = sum(offset for (name, _), offset in topics.committed(timescale.group).items() if "trades" in name)
    assert (
        committed
        == stored
        + sum(postgres_store.query(f"SELECT count(*) FROM {table}")[0][0] for table in ("agg_trades", "symbols"))
        - 1
    ), "what is committed is what is stored"


def test_killed_in_the_middle_and_started_again_the_tables_are_complete(
    topics: Topics, timescale: Process, postgres_store: PostgresStore
) -> None:
    timescale.start()
    total = 30_000
    for begin in range(0, total, 5_000):
        topics.put(*(book(number) for number in range(begin, begin + 5_000)))
        topics.put(*(candle(0, trades=number + 1) for number in range(begin, begin + 5_000)))
        if begin in (5_000, 15_000):
            wait_for(lambda: timescale.health()["rows"] > 100, "some rows are stored")
            assert timescale.end(signal.SIGKILL) == -signal.SIGKILL
            timescale.start()
    topics.put(candle(0, trades=total, closed=True))
    wait_for(lambda: postgres_store.query("SELECT closed FROM candles") == [(True,)], "the candle is closed")
    wait_for(lambda: postgres_store.query("SELECT count(*) FROM book_metrics") == [(total,)], "all rows are there")
    assert postgres_store.query("SELECT trades FROM candles") == [(total,)]


def test_the_sink_into_the_cache_as_a_process(topics: Topics, valkey: RunningValkey, tmp_path: Path) -> None:
    store = ValkeyStore(valkey)
    process = Process(tmp_path, "sink-redis", topics, {"url": store.settings.url, "prefix": store.settings.prefix})
    try:
        process.start()
        topics.put(*every_kind())
        wait_for(lambda: store.newest_trade(BTC) == 1_001, "the trade is in the cache")
        assert process.end(signal.SIGTERM) == 0, process.log()
    finally:
        process.close()


def test_a_wrong_password_ends_the_process_with_a_clear_error(
    topics: Topics, postgres_store: PostgresStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Process(tmp_path, "sink-timescale", topics, {"url": postgres_store.settings.url})
    monkeypatch.setenv("MARKETPIPELINE_STORE__PASSWORD", "wrong")
    command = [
        sys.executable,
        "-m",
        "marketpipeline",
        "sink-timescale",
        "--config",
        str(tmp_path / "settings.json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "error: the database refuses postgresql://" in done.stderr
    assert "password authentication failed" in done.stderr
    assert "Traceback" not in done.stderr
