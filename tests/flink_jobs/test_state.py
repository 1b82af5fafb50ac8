"""Which state a real job goes on from, and what its candles say when there is none that fits."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from marketpipeline.record_kinds import KIND_OF
from marketpipeline.records import Candle, Record
from marketpipeline.topics import TopicKind

from tests.conftest import JARS, require, wait_for
from tests.flink_jobs.running import RunningJob
from tests.flink_jobs.test_running import MINUTE, T0, beat, trade
from tests.support.broker import RunningBroker

pytestmark = pytest.mark.timeout(600)  # each starts the job two or three times

Begin = Callable[..., RunningJob]
SYMBOL = "test:STATE"
_SMALL = {"feeds": ["trades"], "windows": ["1m"]}
"""Starts in half the time."""
STARTED = 120.0
"""Seconds from a job's word on its state to its first rows, at the most: it says that before it is handed to Flink."""


@pytest.fixture
def begin(broker: RunningBroker, tmp_path: Path) -> Iterator[Begin]:
    """A job of the test's own, not started yet."""
    require(shutil.which("java"), "no Java to run Flink")
    require((JARS / "flink").is_dir(), "no connector jars in .cache/jars/flink: run `make setup`")
    jobs: list[RunningJob] = []

    def job(**changes: Any) -> RunningJob:
        jobs.append(RunningJob(broker.address, broker.prefix(), tmp_path, **{**_SMALL, **changes}))
        return jobs[-1]

    yield job
    for each in jobs:
        each.kill()


def minute(number: int, count: int, first_id: int) -> list[Record | tuple[str, bytes]]:
    """`count` trades in a minute, a second apart, from its first second on."""
    return [trade(SYMBOL, T0 + number * MINUTE + n * 1_000_000, first_id + n) for n in range(count)]


def candles(job: RunningJob) -> dict[int, Candle]:
    """What a table holds of the 1-minute candles: of each the record of the highest rank."""
    rank = KIND_OF[Candle].rank
    assert rank is not None
    held: dict[int, Candle] = {}
    for row in job.rows(TopicKind.CANDLES):
        if row.interval == "1m" and (row.open_time not in held or rank.of(row) >= rank.of(held[row.open_time])):
            held[row.open_time] = row
    return held


def told(job: RunningJob) -> tuple[str, str]:
    state = job.health()[1]["state"]
    return state["origin"], state["reason"]


def closed(job: RunningJob, number: int) -> Callable[[], bool]:
    def found() -> bool:
        candle = candles(job).get(T0 + number * MINUTE)
        return candle is not None and candle.closed

    return found


def delete_before(job: RunningJob, kind: TopicKind, keep: int) -> None:
    """Delete all but the last `keep` records of each partition, as retention does."""
    admin = AdminClient(
        {"bootstrap.servers": job.settings["kafka"]["bootstrap_servers"], "broker.address.family": "v4"}
    )
    ends = job.ends(kind)
    wanted = [TopicPartition(job.topic(kind), number, max(0, end - keep)) for number, end in ends.items()]
    for future in admin.delete_records(wanted).values():
        future.result(30)


def test_a_topic_whose_beginning_is_deleted_makes_incomplete_candles_that_replace_no_whole_one(begin: Begin) -> None:
    job = begin()
    job.send(TopicKind.TRADES, [beat(SYMBOL, T0 - 10_000_000), *minute(0, 30, 1), *minute(1, 30, 101)])
    job.start()
    assert told(job)[0] == "new"
    job.send(TopicKind.TRADES, minute(2, 30, 201))
    wait_for(closed(job, 1), "two closed candles", seconds=STARTED)
    job.kill()
    before = candles(job)
    assert [(c.trades, c.complete) for _, c in sorted(before.items())][:2] == [(30, True), (30, True)]
    shutil.rmtree(job.checkpoints)
    delete_before(job, TopicKind.TRADES, keep=45)
    known = len(job.rows(TopicKind.CANDLES))
    job.start()
    assert told(job)[0] == "new"
    job.send(TopicKind.TRADES, [*minute(3, 5, 301), *minute(4, 5, 401)])
    wait_for(closed(job, 3), "a candle that was read from its beginning", seconds=STARTED)
    rebuilt = [row for row in job.rows(TopicKind.CANDLES)[known:] if row.interval == "1m" and row.closed]
    spoilt = {row.open_time: row for row in rebuilt}[T0 + MINUTE]
    assert (spoilt.trades, spoilt.complete) == (15, False), "made again of the rest, and it says so"
    after = candles(job)
    for opened in (T0, T0 + MINUTE):
        assert (after[opened].trades, after[opened].closed, after[opened].complete) == (30, True, True)
    assert (after[T0 + 3 * MINUTE].trades, after[T0 + 3 * MINUTE].complete) == (5, True)


def test_records_deleted_before_they_were_read_leave_no_hole_that_looks_whole(begin: Begin) -> None:
    job = begin()
    job.send(TopicKind.TRADES, [beat(SYMBOL, T0 - 10_000_000), *minute(0, 10, 1)])
    job.start()
    job.caught_up(TopicKind.TRADES)
    assert job.stop() == 0
    job.send(TopicKind.TRADES, minute(0, 40, 1)[10:])
    delete_before(job, TopicKind.TRADES, keep=10)
    job.start()
    origin, reason = told(job)
    assert origin == "unfit"
    assert "deleted before they were read" in reason
    job.send(TopicKind.TRADES, minute(2, 1, 201))
    wait_for(closed(job, 0), "the candle with the hole", seconds=STARTED)
    newest = [row for row in job.rows(TopicKind.CANDLES) if row.open_time == T0 and row.interval == "1m"][-1]
    assert (newest.trades, newest.complete) == (10, False)


def test_state_of_other_queries_is_left_and_found_again_when_the_change_is_taken_back(begin: Begin) -> None:
    job = begin()
    job.send(TopicKind.TRADES, [beat(SYMBOL, T0 - 10_000_000), *minute(0, 10, 1)])
    job.start()
    job.caught_up(TopicKind.TRADES)
    assert job.stop() == 0
    job.configure(windows=["1m", "5m"])
    job.start()
    origin, reason = told(job)
    assert origin == "unfit"
    assert "its queries are others" in reason
    job.send(TopicKind.TRADES, minute(0, 11, 1)[10:])
    wait_for(lambda: candles(job)[T0].trades == 11, "the candle, computed from the beginning", seconds=STARTED)
    assert candles(job)[T0].complete
    assert job.stop() == 0
    job.configure(windows=["1m"], parallelism=2, thresholds=job.settings["thresholds"] | {"whale_trade": 1.0})
    job.start()
    assert told(job)[0] == "restored", "neither parallelism nor thresholds have a part in it"
    job.send(TopicKind.TRADES, minute(2, 1, 201))
    wait_for(closed(job, 0), "the candle of both", seconds=STARTED)
    assert candles(job)[T0].trades == 11


def test_the_same_topics_made_again_or_on_another_broker_are_other_topics(
    begin: Begin, broker: RunningBroker, tmp_path: Path
) -> None:
    job = begin()
    job.send(TopicKind.TRADES, [beat(SYMBOL, T0 - 10_000_000), *minute(0, 30, 1)])
    job.start()
    job.caught_up(TopicKind.TRADES)
    assert job.stop() == 0
    job.make_topics_again()
    job.send(TopicKind.TRADES, [beat(SYMBOL, T0 - 10_000_000), *minute(0, 3, 1)])
    job.start()
    origin, reason = told(job)
    assert origin == "unfit"
    assert "deleted and made again" in reason
    wait_for(
        lambda: any(row.trades == 3 for row in job.rows(TopicKind.CANDLES)),
        "all that the new topic holds",
        seconds=STARTED,
    )
    assert job.stop() == 0
    java = shutil.which("java")
    assert java is not None
    other = RunningBroker(java, JARS / "kafka", tmp_path / "kafka")
    try:
        other.start()
        job.move(other.address)
        job.send(TopicKind.TRADES, [beat(SYMBOL, T0 - 10_000_000), *minute(0, 5, 1)])
        job.start()
        origin, reason = told(job)
        assert origin == "unfit"
        assert "another Kafka cluster" in reason
        wait_for(
            lambda: any(row.trades == 5 for row in job.rows(TopicKind.CANDLES)),
            "all that the new broker holds",
            seconds=STARTED,
        )
    finally:
        job.kill()
        other.stop()
