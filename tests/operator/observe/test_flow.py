"""What counters tell of the data: by their growth, whoever restarts."""

from __future__ import annotations

from typing import Any

from marketpipeline_operator.names import COMPONENT, PROCESS, Object
from marketpipeline_operator.observe.flow import Reading, data_of, read

NOW = 1_000_000.0


def pod(uid: str, component: str = "ingestion", process: str = "ingestion-binance-0") -> Object:
    return {"metadata": {"uid": uid, "labels": {COMPONENT: component, PROCESS: process}}}


def readings(*answers: tuple[float, Any]) -> Reading:
    found: Reading | None = None
    for moment, answer in answers:
        found = read(answer, found, moment)
    assert found is not None
    return found


def test_data_flows_while_frames_grow() -> None:
    growing = readings((NOW, {"frames": 5}), (NOW + 15, {"frames": 9}))
    assert growing.moved == NOW + 15
    state = data_of([pod("a")], {"a": growing}, patience=60)
    assert (state.flows, state.newest) == (True, NOW + 15)
    still = read({"frames": 9}, growing, NOW + 76)
    assert data_of([pod("a")], {"a": still}, patience=60).silent == ("ingestion-binance-0",)
    assert data_of([pod("a")], {"a": read(None, growing, NOW + 76)}, patience=60).flows is True, "it was not seen"


def test_one_answer_says_nothing_of_growth_and_a_restart_is_no_growth() -> None:
    assert data_of([pod("a")], {"a": readings((NOW, {"frames": 5}))}, patience=60).flows is None
    restarted = readings((NOW, {"frames": 5}), (NOW + 15, {"frames": 9}), (NOW + 30, {"frames": 2}))
    assert restarted.moved == NOW + 15
    assert data_of([], {}, patience=60).flows is None


def test_of_several_processes_the_silent_one_is_named() -> None:
    both = [pod("a"), pod("b", process="ingestion-okx-0")]
    moved = {"a": Reading(frames=2, at=NOW, moved=NOW), "b": Reading(frames=2, at=NOW, moved=NOW - 100)}
    state = data_of(both, moved, patience=60)
    assert (state.flows, state.silent, state.newest) == (False, ("ingestion-okx-0",), NOW)


def test_gaps_are_those_of_the_last_hour() -> None:
    answers = [(NOW + minute * 60.0, {"gaps": minute // 30}) for minute in range(121)]
    assert readings(*answers).gaps_in_the_last_hour == 2, "4 in two hours"
    assert readings((NOW, {"gaps": 7})).gaps_in_the_last_hour == 0, "they are of a time that was not seen"
    assert data_of([pod("a")], {"a": readings(*answers)}, patience=60).gaps == 2


def test_lag_is_summed_by_component() -> None:
    sinks = [pod("a", "sink-redis"), pod("b", "sink-redis"), pod("c", "sink-timescale")]
    found = {uid: Reading(lag=lag) for uid, lag in (("a", 1), ("b", 2), ("c", 4))}
    assert data_of(sinks, found, patience=60).lag == {"sink-redis": 3, "sink-timescale": 4}


def test_what_is_no_answer_changes_nothing() -> None:
    known = readings((NOW, {"frames": 5}), (NOW + 15, {"frames": 9}))
    wrong: list[Any] = [None, [], "x", {"frames": True, "lag": "many"}]
    for answer in wrong:
        assert read(answer, known, NOW + 30).moved == known.moved
