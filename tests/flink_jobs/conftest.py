"""The one job that the tests of this folder look at: a replay of both captures, killed in the middle and restarted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from marketpipeline.records import Record, SymbolThresholds
from marketpipeline.topics import TopicKind

from tests.conftest import JARS, require
from tests.flink_jobs.records import book_records, trade_records
from tests.flink_jobs.running import RunningJob
from tests.support.broker import RunningBroker, broker
from tests.support.captures import ALERTS, ALERTS_SYMBOLS

__all__ = ["ALERTS_SYMBOL", "BTC", "ETH", "PATTERNS", "broker", "job", "replayed"]

BTC = "binance_btcusdt_20240808.gz"
ETH = "binance_ethusdt_20240808.gz"
LEVELS = 20
(ALERTS_SYMBOL,) = ALERTS_SYMBOLS
PATTERNS = (
    "widening_then_whale|MEDIUM|8000000|spread_widening,whale_trade",
    "whale_between|HIGH|60000000|spread_widening,whale_trade,spread_widening",
)
"""Of alerts of both feeds."""


@pytest.fixture(scope="session")
def job(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningJob]:
    """A running job, with nothing in its topics."""
    require(shutil.which("java"), "no Java to run Flink")
    require((JARS / "flink").is_dir(), "no connector jars in .cache/jars/flink: run `make setup`")
    found = RunningJob(broker.address, broker.prefix(), tmp_path_factory.mktemp("job"), state_backend="rocksdb")
    try:
        found.start()
        yield found
    finally:
        found.kill()


@pytest.fixture(scope="session")
def replayed(job: RunningJob, capture: Callable[[str], Path]) -> RunningJob:
    """The job when it has read the captures: half of them, `kill -9` within the third quarter, the rest.

    The pattern of the last comes when all is read: what is found must not depend on when it is known.
    """
    sent: list[tuple[TopicKind, Sequence[Record]]] = [
        *((TopicKind.TRADES, trade_records(capture(name))) for name in (BTC, ETH, ALERTS)),
        *((TopicKind.BOOK, book_records(capture(name), LEVELS)) for name in (BTC, ETH, ALERTS)),
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
    values = job.settings["thresholds"]
    job.send(
        TopicKind.THRESHOLDS,
        [SymbolThresholds(symbol=ALERTS_SYMBOL, effective_from=0, values=values, patterns=";".join(PATTERNS))],
    )
    job.caught_up(TopicKind.THRESHOLDS)
    return job
