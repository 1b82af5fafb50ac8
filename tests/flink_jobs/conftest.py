"""The one job that the tests of this folder look at: a replay of both captures, killed in the middle and restarted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from marketpipeline.records import Record
from marketpipeline.topics import TopicKind

from tests.conftest import JARS, require
from tests.flink_jobs.records import book_records, trade_records
from tests.flink_jobs.running import RunningJob
from tests.support.broker import RunningBroker, broker

__all__ = ["BTC", "ETH", "broker", "job", "replayed"]

BTC = "binance_btcusdt_20240808.gz"
ETH = "binance_ethusdt_20240808.gz"
LEVELS = 20


@pytest.fixture(scope="session")
def job(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningJob]:
    """A running job, with nothing in its topics."""
    require(shutil.which("java"), "no Java to run Flink")
    require((JARS / "flink").is_dir(), "no connector jars in .cache/jars/flink: run `make setup`")
    found = RunningJob(broker.address, broker.prefix(), tmp_path_factory.mktemp("job"))
    try:
        found.start()
        yield found
    finally:
        found.kill()


@pytest.fixture(scope="session")
def replayed(job: RunningJob, capture: Callable[[str], Path]) -> RunningJob:
    """The job when it has read both captures: half of them, `kill -9` within the third quarter, the rest."""
    sent: list[tuple[TopicKind, Sequence[Record]]] = [
        *((TopicKind.TRADES, trade_records(capture(name))) for name in (BTC, ETH)),
        *((TopicKind.BOOK, book_records(capture(name), LEVELS)) for name in (BTC, ETH)),
    ]
    for kind, records in sent:
        job.send(kind, records[: len(records) // 2])
    job.caught_up(TopicKind.TRADES, TopicKind.BOOK)
    known = len(job.rows(TopicKind.CANDLES))
    for kind, records in sent:
        job.send(kind, records[len(records) // 2 : len(records) * 3 // 4])
    job.wait_rows(TopicKind.CANDLES, lambda rows: len(rows) > known, "the third quarter to be under way")
    job.kill()
    for kind, records in sent:
        job.send(kind, records[len(records) * 3 // 4 :])
    job.start()
    job.caught_up(TopicKind.TRADES, TopicKind.BOOK)
    return job
