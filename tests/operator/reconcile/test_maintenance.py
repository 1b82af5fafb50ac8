"""Restarts that can wait, and those that cannot; when a window is open; and all of it at a real API server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from marketpipeline_operator.builders import Capabilities, Context, build
from marketpipeline_operator.cluster.cache import Child
from marketpipeline_operator.cluster.kinds import POD, kind_of
from marketpipeline_operator.names import SECRETS, START, Object
from marketpipeline_operator.packed import pack
from marketpipeline_operator.reconcile.maintenance import Windows, split_deferred
from marketpipeline_operator.settings import OperatorSettings

from tests.operator.builders.support import context_of
from tests.operator.support import Kubectl, OperatorUnderTest, Pipelines, ScriptedFlink, eventually
from tests.operator.test_status_api import pods_of, pulling
from tests.support.broker import RunningBroker

SECRET: dict[str, Any] = {"timescale": {"passwordSecret": {"name": "database"}}}


def child(thing: Object) -> Child:
    return Child(kind_of(thing), "markets", thing["metadata"]["name"], "uid", 1, pack(thing))


def children(things: list[Object]) -> dict[tuple[str, str], Child]:
    return {(thing["kind"], thing["metadata"]["name"]): child(thing) for thing in things}


def changed(before: Context, after: Context) -> set[str]:
    """Names of the workloads whose change from one to the other can wait."""
    written, waiting = split_deferred(build(after), children(build(before)))
    kept = {(thing["kind"], thing["metadata"]["name"]) for thing in written}
    return {name.removeprefix("crypto-") for kind, name in waiting if (kind, name) not in kept}


@pytest.mark.parametrize("flink", [False, True], ids=["standalone", "flink-operator"])
def test_another_image_and_a_changed_secret_can_wait_and_nothing_else(flink: bool) -> None:
    before = replace(context_of(sinks=SECRET), capabilities=Capabilities(flink=flink))
    job = {"job"} if flink else {"jobmanager", "taskmanager"}
    images = OperatorSettings.model_validate({"images": {"tag": "next"}})
    everything = {"api", "ingestion-binance-0", "sink-redis", "sink-timescale", *job}
    assert changed(before, replace(before, settings=images)) == everything
    assert changed(before, replace(before, secret_changes={"database": 1})) == {"api", "sink-timescale"}
    assert changed(before, before) == set()
    specs: list[dict[str, Any]] = [
        {"pods": {"labels": {"team": "x"}}},
        {"depth": {"levels": 50}},
        {"symbols": ["binance:SOLUSDT"]},
    ]
    for spec in specs:
        other = replace(context_of(**{"sinks": SECRET, **spec}), capabilities=before.capabilities, settings=images)
        assert "ingestion-binance-0" not in changed(before, other), "what the spec asks for, whatever comes with it"
    assert "api" not in changed(before, replace(before, settings=images, restarts={"api": "now"}))


SIZES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "a sink": ({"sinks": {"redis": {"replicas": 3}}}, {"sink-redis"}),
    "ingestion": ({"ingestion": {"replicas": 2}}, {"ingestion-binance-0"}),
    "the job": ({"processing": {"parallelism": 3}}, {"jobmanager", "taskmanager"}),
}


@pytest.mark.parametrize("size", SIZES)
def test_a_step_of_scaling_takes_no_image_along_that_waits(size: str) -> None:
    """Written are the processes of another size with the images that they have, and then nothing but those differs."""
    spec, resized = SIZES[size]
    before, images = context_of(), OperatorSettings.model_validate({"images": {"tag": "next"}})
    after = replace(context_of(**spec), settings=images)
    there = children(build(before))
    written, waiting = split_deferred(build(after), there)
    known = {thing["metadata"]["name"]: thing for thing in build(after) if thing["kind"] == "Deployment"}
    for thing in written:
        mark = (thing["kind"], thing["metadata"]["name"])
        there[mark] = child(thing)
        if mark in waiting:
            container, full = (each["spec"]["template"]["spec"]["containers"][0] for each in (thing, known[mark[1]]))
            assert container | {"image": ""} == full | {"image": ""}
            assert container["image"] != full["image"]
            assert thing["spec"]["replicas"] == known[mark[1]]["spec"]["replicas"]
    assert {name.removeprefix("crypto-") for _, name in waiting} >= resized
    assert {t["metadata"]["name"].removeprefix("crypto-") for t in written if t["kind"] == "Deployment"} >= resized
    again, still = split_deferred(build(after), there)
    assert still == waiting
    assert not [thing for thing in again if (thing["kind"], thing["metadata"]["name"]) in still], (
        "nothing is written twice"
    )


def test_a_step_of_scaling_leaves_the_marks_of_secrets_as_they_are_while_an_image_waits() -> None:
    """A mark that another Secret left: without it all Pods would be replaced, and read what waits as well."""
    images = OperatorSettings.model_validate({"images": {"tag": "next"}})
    before = replace(context_of(sinks=SECRET), secret_changes={"database": 1})
    sinks = {"timescale": {**SECRET["timescale"], "replicas": 2}}
    after = replace(context_of(sinks=sinks), settings=images, secret_changes={"database": 2})
    there = children(build(before))
    mark = ("Deployment", "crypto-sink-timescale")
    (written,) = [t for t in split_deferred(build(after), there)[0] if (t["kind"], t["metadata"]["name"]) == mark]
    assert written["spec"]["replicas"] == 2
    template = {**written["spec"]["template"], "spec": {**written["spec"]["template"]["spec"]}}
    live = there[mark].body["spec"]["template"]
    template["spec"].pop("topologySpreadConstraints", None)  # there is one for more than one Pod
    live["spec"].pop("topologySpreadConstraints", None)
    assert template["metadata"]["annotations"][SECRETS] == live["metadata"]["annotations"][SECRETS]
    assert template["spec"] == live["spec"]


def test_with_another_start_of_the_job_its_image_waits_still() -> None:
    images = OperatorSettings.model_validate({"images": {"tag": "next"}})
    before, after = context_of(), replace(context_of(processing={"parallelism": 3}), settings=images)
    before, after = (replace(c, job=replace(c.job, start=start)) for c, start in ((before, "1"), (after, "2")))
    written, waiting = split_deferred(build(after), children(build(before)))
    (manager,) = [t for t in written if (t["kind"], t["metadata"]["name"]) == ("Deployment", "crypto-jobmanager")]
    assert ("Deployment", "crypto-jobmanager") in waiting
    assert manager["spec"]["template"]["metadata"]["annotations"][START] == "2"


def test_with_another_setting_the_image_goes_along() -> None:
    images = OperatorSettings.model_validate({"images": {"tag": "next"}})
    after = replace(context_of(ingestion={"replicas": 2}, depth={"levels": 50}), settings=images)
    assert ("Deployment", "crypto-ingestion-binance-0") not in split_deferred(
        build(after), children(build(context_of()))
    )[1]


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-05-02T01:59:59", "2026-05-02T02:00:00"),
        ("2026-05-02T02:00:00", None),
        ("2026-05-02T03:29:59", None),
        ("2026-05-02T03:30:00", "2026-05-03T12:00:00"),
    ],
)
def test_a_window_is_open_from_its_time_on_for_its_duration(now: str, opens: str | None) -> None:
    windows = [{"schedule": "0 2 * * 6", "duration": "90m"}, {"schedule": "0 12 * * 0"}]
    pipeline = context_of(maintenance={"windows": windows}).pipeline
    found = Windows.of(pipeline, datetime.fromisoformat(now).replace(tzinfo=UTC)).opens
    assert found == (None if opens is None else datetime.fromisoformat(opens).replace(tzinfo=UTC))
    assert Windows.of(context_of().pipeline, datetime.now(UTC)).opens is None


async def test_a_changed_secret_waits_for_the_window_unless_its_reader_is_broken(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, kubectl: Kubectl
) -> None:
    head = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cache", "namespace": pipelines.namespace}}
    kubectl.apply(head | {"stringData": {"password": "first"}})
    reconciling = await operator.start(reconcile={"interval": 0.5})
    reconciling.reconciler._rest = ScriptedFlink()  # type: ignore[assignment]
    day = (datetime.now(UTC).weekday() + 4) % 7  # cron's Sunday is 0: three days from now
    await pipelines.create(
        address=broker.address,
        broker={"topicPrefix": broker.prefix()},
        processing={"checkpointDirectory": "s3://bucket/state"},
        sinks={"redis": {"passwordSecret": {"name": "cache"}}},
        maintenance={"windows": [{"schedule": f"0 12 * * {day}"}]},
    )

    async def made() -> bool:
        return "taskmanager" in await pipelines.deployments()

    await eventually(made, "the Deployments")
    await pipelines.run()

    async def generations() -> dict[str, int]:
        return {name: thing["metadata"]["generation"] for name, thing in (await pipelines.deployments()).items()}

    async def pending() -> list[str]:
        status = (await pipelines.get() or {})["status"]
        return list(status.get("maintenance", {}).get("pending", []))

    before = await generations()
    kubectl.apply(head | {"stringData": {"password": "second"}})

    async def waits() -> bool:
        return await pending() == ["api", "sink-redis"]

    await eventually(waits, "what waits")
    assert await generations() == before
    assert (await pipelines.condition("Ready"))["status"] == "True"
    assert "api, sink-redis" in (await pipelines.events())["MaintenancePending"]
    (broken,) = await pods_of(pipelines, "sink-redis")
    unready = {"conditions": [{"type": "Ready", "status": "False"}]}
    await pipelines.set_status(POD, broken["metadata"]["name"], pulling("registry/sink:broken") | unready)

    async def only_the_broken_one() -> bool:
        after = await generations()
        changed = {name for name in before if after[name] != before[name]}
        return changed == {"sink-redis"} and await pending() == ["api"]

    await eventually(only_the_broken_one, "what is broken waits for nothing, and the rest of its pipeline does")
    await pipelines.edit(maintenance={"windows": [{"schedule": "* * * * *"}]})

    async def replaced() -> bool:
        after = await generations()
        return {name for name in before if after[name] != before[name]} == {"sink-redis", "api"}

    await eventually(replaced, "the readers, once a window is open")

    async def done() -> bool:
        return not await pending()

    await eventually(done, "nothing waits")
