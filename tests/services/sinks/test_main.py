"""The sinks as processes, as a platform runs them: started by their command, probed, stopped, killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from marketpipeline.store import TABLES, TIMESCALE_TOPICS

from tests.conftest import wait_for
from tests.services.sinks.running import SinkProcess
from tests.services.sinks.samples import BTC, ETH, alert, book, candle, every_kind, trade
from tests.services.sinks.stores import PostgresStore, ValkeyStore
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker
from tests.support.postgres import RunningPostgres
from tests.support.valkey import RunningValkey


@pytest.fixture
def topics(broker: RunningBroker) -> Topics:
    return Topics(broker)


@pytest.fixture
def postgres_store(postgres: RunningPostgres, database: str) -> PostgresStore:
    return PostgresStore(postgres, database)


@pytest.fixture
def timescale(topics: Topics, postgres_store: PostgresStore, tmp_path: Path) -> Iterator[SinkProcess]:
    process = SinkProcess(tmp_path, "sink-timescale", topics, {"url": postgres_store.settings.url})
    yield process
    process.close()


def test_health_metrics_and_a_stop_that_loses_nothing(
    topics: Topics, timescale: SinkProcess, postgres_store: PostgresStore
) -> None:
    topics.put(*every_kind(BTC), *every_kind(ETH))
    timescale.start()
    wait_for(lambda: timescale.health()["rows"] == 2 * len(TABLES), "a row of each table and symbol is stored")
    health = timescale.health()
    partitions = 3 * len(TIMESCALE_TOPICS)
    assert (health["sink"], health["dead_letters"], health["partitions"]) == ("timescale", 0, partitions)
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
    topics: Topics, timescale: SinkProcess, postgres_store: PostgresStore
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


def test_the_sink_into_the_cache_killed_in_the_middle_has_what_is_newest(
    topics: Topics, valkey: RunningValkey, tmp_path: Path
) -> None:
    """What is read again after the kill is older than what is there by then, and goes over none of it."""
    store = ValkeyStore(valkey)
    process = SinkProcess(tmp_path, "sink-redis", topics, {"url": store.settings.url, "prefix": store.settings.prefix})
    total, last = 6_000, candle(5, trades=7, closed=True)
    try:
        process.start()
        topics.put(*every_kind(), *(trade(number) for number in range(2, total // 2)))
        wait_for(lambda: process.health()["rows"] > 100, "some rows are taken")
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
        topics.put(*(trade(number) for number in range(total // 2, total)), last)
        process.start()
        wait_for(lambda: store.newest_trade(BTC) == 1_000 + total - 1, "the newest trade is in the cache")
        wait_for(lambda: store.newest_candle(BTC, "1m") == (last.open_time, True, last.close), "so is the candle")
        wait_for(lambda: process.health()["lag"] == 0, "all is read")
        assert store.newest_trade(BTC) == 1_000 + total - 1
        assert store.alert(alert().id) == ("open", 0.55)
        assert process.end(signal.SIGTERM) == 0, process.log()
    finally:
        process.close()


def test_a_wrong_password_ends_the_process_with_a_clear_error(
    topics: Topics, postgres_store: PostgresStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SinkProcess(tmp_path, "sink-timescale", topics, {"url": postgres_store.settings.url})
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
    assert "error: spec.sinks.timescale.passwordSecret: user 'marketpipeline'" in done.stderr
    assert "password authentication failed" in done.stderr
    assert "Traceback" not in done.stderr
