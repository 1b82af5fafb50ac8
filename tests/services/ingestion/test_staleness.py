from __future__ import annotations

from typing import Literal

from marketpipeline.ingestion.staleness import StalenessDetector


def run(
    silence: StalenessDetector, speaks: set[int], seconds: int, start: int = 0, seen: int = 0
) -> tuple[list[tuple[int, Literal["stale", "still", "recovered"]]], int]:
    """Look once a second at a stream that speaks at certain seconds; what was reported and when."""
    reports = []
    for now in range(start, start + seconds):
        seen += now in speaks
        report = silence.look(seen, float(now))
        if report is not None:
            reports.append((now, report))
    return reports, seen


def test_a_busy_stream_is_reported_after_the_least_silence_once() -> None:
    silence = StalenessDetector(30.0, 0, 0.0)
    reports, _ = run(silence, set(range(100)) | set(range(200, 300)), 300)
    assert reports == [(129, "stale"), (159, "still"), (200, "recovered")]


def test_a_quiet_stream_is_judged_by_its_own_gaps() -> None:
    silence = StalenessDetector(5.0, 0, 0.0)
    speaks = set(range(0, 1000, 20))
    reports, seen = run(silence, speaks, 1000)
    assert [report for report in reports if report[0] > 40] == [], "20 s are usual for it"
    later, _ = run(silence, set(), 200, start=1000, seen=seen)
    assert later == [(980 + 80, "stale"), (980 + 160, "still")]


def test_a_stream_that_never_spoke_is_reported() -> None:
    silence = StalenessDetector(30.0, 0, 0.0)
    reports, _ = run(silence, set(), 300)
    assert reports == [(30, "stale"), (60, "still"), (120, "still"), (240, "still")]
    assert not silence.spoke


def test_an_outage_does_not_become_usual() -> None:
    silence = StalenessDetector(10.0, 0, 0.0)
    reports, seen = run(silence, set(range(100)) | set(range(1000, 1100)), 1100)
    assert [report for report in reports if report[1] != "still"] == [(109, "stale"), (1000, "recovered")]
    again, _ = run(silence, set(), 300, start=1100, seen=seen)
    assert again[0][1] == "stale"
    assert again[0][0] <= 1100 + 100


def test_time_that_was_not_its_own_is_excused() -> None:
    silence = StalenessDetector(30.0, 0, 0.0)
    run(silence, set(range(10)), 10)
    silence.excuse(10, 100.0)
    assert silence.look(10, 120.0) is None
    assert silence.look(10, 130.0) == "stale"


def test_a_silence_that_goes_on_over_a_new_connection_is_told_once_and_so_is_its_end() -> None:
    first = StalenessDetector(2.0, 0, 0.0)
    assert first.look(0, 2.0) == "stale"
    second = StalenessDetector(2.0, 0, 2.5)
    second.continue_from(first)
    assert [second.look(0, 2.5 + tenth / 10) for tenth in range(39)] == [None] * 39
    assert second.look(0, 6.6) == "still"
    assert second.look(1, 7.0) == "recovered"
    third = StalenessDetector(2.0, 1, 7.5)
    third.continue_from(second)
    assert third.look(1, 9.6) == "stale"
