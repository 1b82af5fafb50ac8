"""The job starts and computes at the ends of what the spec allows, each field of it at its least and at its most."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.alert_kinds import threshold_defaults, thresholds
from marketpipeline.plan import plan
from marketpipeline.records import Book, Trade
from marketpipeline.settings import JobSettings
from marketpipeline.spec import load_object
from marketpipeline.topics import TopicKind
from marketpipeline_job.job import script

from tests.conftest import JARS, require
from tests.flink_jobs.running import RunningJob
from tests.support.broker import RunningBroker
from tests.support.extremes import EXTREMES, Extreme

STEP = 0.0101
"""Between two levels, of a mid price of 100."""

ALL_WINDOWS = ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d"]
LEAST = {
    "thresholds": threshold_defaults() | {name: threshold.above + 1e-9 for name, threshold in thresholds().items()},
    "levels": 1,
    "calculate": 1,
    "within_bps": 1e-9,
    "windows": [],
    "allowed_lateness_ms": 1,
}
MOST = {
    "thresholds": threshold_defaults() | {name: threshold.at_most or 1e300 for name, threshold in thresholds().items()},
    "levels": 1000,
    "calculate": 100,
    "within_bps": 1000.0,
    "windows": ALL_WINDOWS,
    "allowed_lateness_ms": 59_999,
    "parallelism": 2,
    "state_backend": "rocksdb",
}


HEAD = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "x"}}


@pytest.mark.parametrize("extreme", EXTREMES, ids=str)
def test_it_is_written_as_sql(extreme: Extreme) -> None:
    job = plan(load_object(HEAD | {"spec": extreme.spec})).stream_job
    if job is not None:
        assert script(JobSettings(**job.settings)).inserts


@pytest.fixture
def start(broker: RunningBroker, tmp_path: Path) -> Iterator[Callable[..., RunningJob]]:
    require(shutil.which("java"), "no Java to run Flink")
    require((JARS / "flink").is_dir(), "no connector jars in .cache/jars/flink: run `make setup`")
    jobs: list[RunningJob] = []

    def started(**changes: Any) -> RunningJob:
        jobs.append(RunningJob(broker.address, broker.prefix(), tmp_path, **changes))
        jobs[-1].start()
        return jobs[-1]

    yield started
    for job in jobs:
        job.kill()


@pytest.mark.parametrize("changes", [LEAST, MOST], ids=["least", "most"])
@pytest.mark.timeout(600)
def test_it_starts_and_measures(start: Callable[..., RunningJob], changes: dict[str, Any]) -> None:
    job = start(**changes)
    levels, calculate = changes["levels"], changes["calculate"]
    bids = [(100 - STEP * n, 1.0) for n in range(1, levels + 1)]
    asks = [(100 + STEP * n, 3.0) for n in range(1, levels + 1)]
    job.send(TopicKind.BOOK, [Book(symbol="a:B", event_time=1, receive_time=2, update_id=3, bids=bids, asks=asks)])
    time = 1_723_161_240_000_000
    trade: dict[str, Any] = {
        "symbol": "a:B",
        "event_time": time,
        "trade_time": time,
        "receive_time": time,
        "taker_side": "buy",
    }
    job.send(TopicKind.TRADES, [Trade(trade_id=1, price=100.0, quantity=1.0, **trade)])
    if changes["windows"]:
        rows = job.wait_rows(TopicKind.CANDLES, lambda rows: len(rows) >= len(changes["windows"]), "a candle a window")
        assert {row.interval for row in rows} == set(changes["windows"])
    (row,) = job.wait_rows(TopicKind.BOOK_METRICS, lambda rows: rows, "the measures")
    assert row.imbalance == pytest.approx(-0.5)
    assert (row.bid_quantity, row.ask_quantity) == (calculate, 3 * calculate)
    assert row.vtob_ratio == pytest.approx(1 / calculate)
    reach = 100 * changes["within_bps"] / 10_000
    within = [STEP * n for n in range(1, levels + 1) if STEP * n <= reach]
    if len(within) == levels:
        assert (row.bid_depth, row.ask_depth) == (None, None), "there may be more beyond what is known"
    else:
        assert row.bid_depth == pytest.approx(sum(100 - distance for distance in within))
        assert row.ask_depth == pytest.approx(sum((100 + distance) * 3 for distance in within))
