"""How many processes there are, by the load: pure decisions, and what they come to when a load comes and goes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from marketpipeline.schema import IngestionScaling, JobScaling, SinkScaling
from marketpipeline_operator.observe.flow import DataState
from marketpipeline_operator.observe.scaling import (
    JOB,
    Autoscaler,
    Load,
    Part,
    Scaled,
    entry_of,
    parts_of,
    scaled_of,
    with_replicas,
)

from tests.operator.builders.support import context_of

SINK = Part("sink-timescale", SinkScaling(max=6, target=10_000), 1, 12)
INGESTION = Part("ingestion", IngestionScaling(min=2, max=8, target=1_000), 2, 20)
STREAM_JOB = Part(JOB, JobScaling(max=4, target=0.7), 1, 3)
COOL_DOWN = 300.0


def sink(lag: int, rate: float) -> Load:
    return Load(DataState(lag={SINK.name: lag}, rates={SINK.name: rate}))


def frames(*rates: float) -> Load:
    return Load(DataState(rates={f"ingestion-{number}": rate for number, rate in enumerate(rates)}))


def test_a_sink_that_is_behind_gets_as_many_as_its_lag_takes_at_once() -> None:
    found = Autoscaler().decide(SINK, Scaled(1), sink(35_000, 2_000), 1_000.0)
    assert found == Scaled(4, 1_000.0, "from 1 to 4: 35,000 records to store, 2,000 stored a second", 2_000)


def test_the_next_step_up_waits_until_the_last_one_shows() -> None:
    scaler, now = Autoscaler(), Scaled(4, 1_000.0, "", 2_000)
    assert scaler.decide(SINK, now, sink(90_000, 2_000), 1_030.0).replicas == 4
    assert scaler.decide(SINK, now, sink(90_000, 2_000), 1_060.0).replicas == 6, "its max"


@pytest.mark.parametrize(("rates", "replicas"), [((3_500.0, 900.0), 4), ((2_100.0,), 2), ((500.0,), 2), ((9e9,), 8)])
def test_ingestion_follows_the_busiest_exchange_within_its_bounds(rates: tuple[float, ...], replicas: int) -> None:
    scaler = Autoscaler()
    assert scaler.decide(INGESTION, Scaled(2), frames(*rates), 1_000.0).replicas == replicas


@pytest.mark.parametrize(("tasks", "busy", "wanted"), [(1, 0.75, 1), (1, 1.0, 2), (2, 1.0, 3), (3, 1.0, 3)])
def test_the_job_follows_its_busiest_task_and_has_no_more_tasks_than_partitions(
    tasks: int, busy: float, wanted: int
) -> None:
    """Once it has been so for a while: after a start it reads what has come meanwhile."""
    scaler = Autoscaler()
    for at in (1_000.0, 1_060.0, 1_120.0, 1_179.0):
        assert scaler.decide(STREAM_JOB, Scaled(tasks), Load(DataState(), busy), at).replicas == tasks
    assert scaler.decide(STREAM_JOB, Scaled(tasks), Load(DataState(), busy), 1_180.0).replicas == wanted


def test_a_job_that_catches_up_or_starts_anew_is_not_scaled() -> None:
    scaler = Autoscaler()
    for at, busy in ((1_000.0, 1.0), (1_100.0, 1.0), (1_150.0, 0.5), (1_200.0, 1.0), (1_300.0, None), (1_310.0, 1.0)):
        assert scaler.decide(STREAM_JOB, Scaled(1), Load(DataState(), busy), at).replicas == 1, at
    assert scaler.decide(STREAM_JOB, Scaled(1), Load(DataState(), 1.0), 1_480.0).replicas == 1, "180 s from its start"
    assert scaler.decide(STREAM_JOB, Scaled(1), Load(DataState(), 1.0), 1_490.0).replicas == 2


@pytest.mark.parametrize("part", [SINK, INGESTION, STREAM_JOB], ids=lambda part: str(part.name))
def test_what_is_not_known_changes_nothing(part: Part) -> None:
    now = Scaled(3, 5.0, "why")
    assert Autoscaler().decide(part, now, Load(DataState()), 1e6) == now


def test_down_goes_what_had_too_many_for_the_whole_cool_down() -> None:
    scaler, now = Autoscaler(), Scaled(5, 0.0)
    for at in (1_000.0, 1_150.0, 1_299.0):
        now = scaler.decide(SINK, now, sink(0, 10), at)
        assert now.replicas == 5, at
    assert scaler.decide(SINK, now, sink(0, 10), 1_300.0).replicas == 1


def test_a_moment_of_load_starts_the_cool_down_again() -> None:
    scaler, now = Autoscaler(), Scaled(5, 0.0)
    loads = {1_000.0: 0, 1_200.0: 45_000, 1_300.0: 0, 1_450.0: 0}
    for at, lag in loads.items():
        now = scaler.decide(SINK, now, sink(lag, 10_000), at)
        assert now.replicas == 5, at


def test_bounds_that_changed_hold_at_once() -> None:
    narrow = Part(SINK.name, SinkScaling(max=2), 1, 12)
    found = Autoscaler().decide(narrow, Scaled(5), sink(0, 0), 1_000.0)
    assert (found.replicas, found.reason) == (2, "from 5 to 2: the bounds of its scaling")


def run(loads: list[float], capacity: float) -> tuple[list[int], float]:
    """A sink whose processes store `capacity` records a second each, under these loads, a minute each and asked every
    fifteen seconds: the numbers of processes as they changed, and the lag at the end."""
    scaler, now, lag, at = Autoscaler(), Scaled(1), 0.0, 0.0
    counts = [1]
    for load in loads:
        for _ in range(4):
            at += 15
            stored = min(lag + load * 15, capacity * now.replicas * 15)
            lag += load * 15 - stored
            now = scaler.decide(SINK, now, sink(round(lag), stored / 15), at)
            counts += [now.replicas] if now.replicas != counts[-1] else []
    return counts, lag


def test_a_load_that_comes_and_goes_does_not_make_it_come_and_go() -> None:
    """Ten times the load for five minutes, then five of little, eight times over."""
    sawtooth = ([4_000.0] * 5 + [400.0] * 5) * 8
    counts, lag = run(sawtooth, capacity=1_000)
    assert max(counts) == 6
    assert lag < SINK.target
    downs = [after for before, after in pairwise(counts) if after < before]
    assert len(downs) <= 8, counts
    steady, lag = run([4_000.0] * 60, capacity=1_000)
    assert steady[-1] == 5, "what a lasting load takes, with some headroom"
    assert len(steady) <= 4, steady
    assert lag == 0


def test_a_store_that_was_slow_for_a_while_is_not_remembered_as_slow() -> None:
    scaler, now = Autoscaler(), Scaled(1)
    now = scaler.decide(SINK, now, sink(12_000, 100), 1_000.0)
    assert (now.replicas, now.capacity) == (2, 100)
    now = scaler.decide(SINK, now, sink(0, 500), 1_100.0)
    assert (now.replicas, now.capacity) == (2, 250), "no more for what is stored without a lag"
    now = scaler.decide(SINK, now, sink(0, 900), 1_115.0)
    assert (now.replicas, now.capacity) == (2, 450)


def test_it_returns_when_the_load_has_gone() -> None:
    counts, lag = run([4_000.0] * 10 + [400.0] * 12, capacity=1_000)
    assert (counts[-1], lag) == (1, 0)


def test_a_decision_outlives_the_operator_in_the_status() -> None:
    found = Scaled(3, 1_764_000_000.0, "from 1 to 3: because", 1_234.0)
    entry: dict[str, Any] = entry_of("sink-redis", found)
    assert entry["since"] == "2025-11-24T16:00:00Z"
    assert scaled_of(entry) == found
    assert scaled_of(entry_of("sink-redis", Scaled(1))) == Scaled(1)


@pytest.mark.parametrize(
    ("part", "load", "now", "waits", "then"),
    [
        (SINK, sink(90_000, 2_000), Scaled(4, 970.0, "", 2_000), 30.0, 6),
        (SINK, sink(0, 100), Scaled(4, 0.0, "", 2_000), COOL_DOWN, 1),
        (INGESTION, frames(500.0), Scaled(6, 0.0), COOL_DOWN, 2),
        (STREAM_JOB, Load(DataState(), 1.0), Scaled(1, 0.0), 180.0, 2),
        (STREAM_JOB, Load(DataState(), 0.1), Scaled(3, 0.0), 3 * COOL_DOWN, 1),
    ],
    ids=["sink up", "sink down", "ingestion down", "job up", "job down"],
)
def test_a_new_operator_takes_no_step_sooner_than_the_old_one_would(
    part: Part, load: Load, now: Scaled, waits: float, then: int
) -> None:
    """It knows the last step from the status, and nothing of the load before its start: so it waits from there."""
    new, now = Autoscaler(), scaled_of(entry_of(part.name, now))
    found = [new.decide(part, now, load, 1_000.0 + seconds).replicas for seconds in (0, waits / 2, waits - 1, waits)]
    assert found == [now.replicas] * 3 + [then]


def test_a_pipeline_has_the_processes_that_were_decided() -> None:
    context = context_of(
        ingestion={"scaling": {"target": 100}},
        processing={"scaling": {}, "parallelism": 2},
        sinks={"timescale": {"scaling": {"max": 3}, "replicas": 2}},
    )
    symbols = ["binance:BTCUSDT", "binance:ETHUSDT", "okx:BTC-USDT"]
    parts = {part.name: part for part in parts_of(context.pipeline, symbols, with_job=True)}
    assert {name: (part.start, part.useful) for name, part in parts.items()} == {
        "ingestion": (1, 2),
        "sink-timescale": (2, 3),
        JOB: (2, 3),
    }
    assert JOB not in {part.name for part in parts_of(context.pipeline, symbols, with_job=False)}
    scaled = with_replicas(context.pipeline, {"ingestion": 4, "sink-timescale": 3, JOB: 1}).spec
    sinks = {kind.name: sink.replicas for kind, sink in scaled.sinks.enabled()}
    assert (scaled.ingestion.replicas, scaled.processing.parallelism) == (4, 1)
    assert sinks == {"timescale": 3, "redis": 1}
