"""From Flink's answers to health and metrics."""

from __future__ import annotations

from typing import Any

import pytest
from marketpipeline.errors import RetryableError
from marketpipeline_job.runtime.monitor import Monitor, read
from marketpipeline_job.runtime.rest import FlinkRest
from prometheus_client import CollectorRegistry, generate_latest

METRICS = {
    "0.Source__book[1].numRecordsIn": 12.0,
    "0.Source__book[1].numRecordsOut": 10.0,
    "0.Source__book[1].pendingRecords": 3.0,
    "1.Source__book[1].numRecordsIn": 1.0,
    "1.Source__book[1].numRecordsOut": 1.0,
    "0.Source__book[1].KafkaSourceReader.topic.a_book.partition.0.currentOffset": 9.0,
    "0.book_metrics[4]__Writer.numRecordsSend": 9.0,
    "0.dead_letters[6]__Writer.numRecordsSend": 1.0,
    "0.Sink__Writer.numRecordsSend": 7.0,
    "0.late[9]__Writer.numRecordsSend": 2.0,
    "0.busyTimeMsPerSecond": 250.0,
    "0.Calc[2].numRecordsIn": 99.0,
}
LATEST = {"id": 4, "latest_ack_timestamp": 2_000, "end_to_end_duration": 30, "state_size": 4096}


class Answers(FlinkRest):
    """What a Flink would say: the one thing that these tests stand in for."""

    def __init__(self, state: str = "RUNNING", task: str = "RUNNING", names: list[str] | None = None) -> None:
        super().__init__(1, "job")
        self.state, self.task = state, task
        self.names = list(METRICS) if names is None else names

    def job(self) -> dict[str, Any]:
        if self.state == "GONE":
            raise RetryableError("Flink does not answer: refused")
        return {"state": self.state, "vertices": [{"id": "v", "name": "Source: book[1] -> …", "status": self.task}]}

    def checkpoints(self) -> dict[str, Any]:
        return {"counts": {"completed": 4, "failed": 1}, "latest": {"completed": LATEST}}

    def failure(self) -> str:
        return "the broker is away"

    def metric_names(self, vertex: str, *, again: bool = True) -> list[str]:
        return self.names

    def metrics(self, vertex: str, names: list[str]) -> dict[str, float]:
        return {name: METRICS[name] for name in names}


def monitor(answers: Answers) -> Monitor:
    """After as many looks as agree on what was not read."""
    found = Monitor()
    found.watch(answers)
    for _ in range(8):
        found.look()
    return found


def test_a_record_between_two_counts_is_not_unreadable() -> None:
    answers = Answers()
    found = Monitor()
    found.watch(answers)
    found.look()
    assert found.unreadable == {"book": 0}
    answers.names = [name for name in METRICS if not name.startswith("0.Source")]
    found.look()
    assert found.unreadable == {"book": 0}
    answers.names = list(METRICS)
    for _ in range(7):
        found.look()
    assert found.unreadable == {"book": 0}, "a busy source is between its counts many times in a row"
    found.look()
    assert found.unreadable == {"book": 2}
    answers.names = [name for name in METRICS if not name.startswith("0.Source")]
    found.look()
    assert found.unreadable == {"book": 2}, "a counter never goes down"


def test_counts_by_topic_over_all_subtasks() -> None:
    reading = read(Answers())
    assert reading.read == {"book": 13.0}
    assert reading.parsed == {"book": 11.0}
    assert reading.lag == {"book": 3.0}
    assert reading.written == {"book_metrics": 9.0, "dead_letters": 1.0, "candles": 7.0, "late": 2.0}
    assert reading.unparsed == {"book": 2}
    assert reading.busy == 0.25


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        (Answers(), "degraded"),
        (Answers(names=[name for name in METRICS if "KafkaSourceReader" in name]), "ok"),
        (Answers(names=["0.busyTimeMsPerSecond"]), "starting"),
        (Answers(task="INITIALIZING"), "starting"),
        (Answers(state="CREATED"), "starting"),
        (Answers(state="RESTARTING"), "failed"),
        (Answers(state="GONE"), "failed"),
    ],
)
def test_health(answers: Answers, status: str) -> None:
    assert monitor(answers).health().status == status


def test_before_there_is_a_job_it_is_starting() -> None:
    assert Monitor().health().status == "starting"


def test_an_interruption_is_counted_once_and_gives_its_reason() -> None:
    answers = Answers()
    watched = monitor(answers)
    answers.state = "RESTARTING"
    watched.look()
    watched.look()
    health = watched.health()
    assert health.details["interruptions"] == 1
    assert health.details["reason"] == "the broker is away"


def test_metrics() -> None:
    registry = CollectorRegistry()
    registry.register(monitor(Answers()))
    text = generate_latest(registry).decode()
    for line in (
        'marketpipeline_stream_job_records_read_total{topic="book"} 13.0',
        'marketpipeline_stream_job_records_written_total{topic="book-metrics"} 9.0',
        'marketpipeline_stream_job_unreadable_total{topic="book"} 2.0',
        'marketpipeline_stream_job_lag_records{topic="book"} 3.0',
        "marketpipeline_stream_job_late_total 2.0",
        "marketpipeline_stream_job_busy_ratio 0.25",
        "marketpipeline_stream_job_checkpoint_duration_seconds 0.03",
        "marketpipeline_stream_job_checkpoint_bytes 4096.0",
        "marketpipeline_stream_job_running 1.0",
    ):
        assert line in text.splitlines(), text


def test_the_share_of_late_trades(monkeypatch: pytest.MonkeyPatch) -> None:
    assert monitor(Answers()).look().late_ratio == 0.0, "no trade was read yet"
    monkeypatch.setitem(METRICS, "2.Source__trades[5].numRecordsIn", 8.0)
    registry = CollectorRegistry()
    registry.register(monitor(Answers()))
    assert "marketpipeline_stream_job_late_ratio 0.25" in generate_latest(registry).decode().splitlines()
