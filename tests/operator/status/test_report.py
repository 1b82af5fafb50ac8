"""A status is written for news: of numbers that only went on, once a minute."""

from __future__ import annotations

from marketpipeline_operator.names import Object
from marketpipeline_operator.status.report import is_news, time_of

BEFORE: Object = {
    "phase": "Running",
    "data": {"observed": "2026-01-01T00:00:00Z", "lag": 3},
    "job": {"state": "RUNNING", "checkpointTime": "2026-01-01T00:00:00Z", "checkpointBytes": 9},
}


def test_numbers_are_news_once_a_minute() -> None:
    after = BEFORE | {"data": {"observed": "2026-01-01T00:00:30Z", "lag": 5}}
    after |= {"job": BEFORE["job"] | {"checkpointBytes": 10}}
    assert not is_news(after, BEFORE, "2026-01-01T00:00:59Z")
    assert is_news(after, BEFORE, "2026-01-01T00:01:00Z")
    assert not is_news(BEFORE, BEFORE, "2026-01-01T01:00:00Z")


def test_all_else_is_news_at_once() -> None:
    now = "2026-01-01T00:00:01Z"
    assert is_news(BEFORE | {"phase": "Degraded"}, BEFORE, now)
    assert is_news(BEFORE | {"job": BEFORE["job"] | {"state": "FAILED"}}, BEFORE, now)
    assert is_news(BEFORE, {}, now)


def test_times_are_written_as_kubernetes_does() -> None:
    assert time_of(1_767_225_600.9) == "2026-01-01T00:00:00Z"
