"""The job in Deployments of our own, against a real API server: what is written, and when, around a savepoint.

Flink's answers are scripted here, since no Pod runs without a node; tests/operator/flink has the real Flink.
"""

from __future__ import annotations

from typing import Any

import pytest
from marketpipeline_operator.builders.standalone import start_of

from tests.operator.support import SAVEPOINT, OperatorUnderTest, Pipelines, ScriptedFlink, eventually
from tests.support.broker import RunningBroker


async def started(
    pipelines: Pipelines,
    operator: OperatorUnderTest,
    broker: RunningBroker,
    scripted: ScriptedFlink,
    *,
    claim: bool = True,
    **settings: Any,
) -> None:
    """A pipeline whose Pods are ready; without a `claim` its job's state is in the Pods alone."""
    reconciling = await operator.start(**settings)
    reconciling.reconciler._rest = scripted  # type: ignore[assignment]
    processing = {"checkpointDirectory": "file:///state", "checkpointClaim": "state"} if claim else {}
    await pipelines.create(address=broker.address, broker={"topicPrefix": broker.prefix()}, processing=processing)

    async def made() -> bool:
        return "taskmanager" in await pipelines.deployments()

    await eventually(made, "the job's Deployments")
    await pipelines.make_ready()


async def running(pipelines: Pipelines, *parts: Any, **settings: Any) -> None:
    """The same, when it is Ready."""
    await started(pipelines, *parts, **settings)
    await pipelines.until("Ready", status="True")


async def job_manager(pipelines: Pipelines) -> dict[str, Any]:
    return (await pipelines.deployments())["jobmanager"]


async def job_settings(pipelines: Pipelines) -> Any:
    return (await pipelines.children())["ConfigMap/crypto-stream-job"]["data"]


async def until_suspended(pipelines: Pipelines) -> None:
    async def suspended() -> bool:
        return bool((await pipelines.get() or {})["status"]["phase"] == "Suspended")

    await eventually(suspended, "suspended")


async def until_resumed(pipelines: Pipelines) -> None:
    async def resumed() -> bool:
        return bool((await job_manager(pipelines))["spec"]["replicas"] == 1)

    await eventually(resumed, "resumed")


async def test_a_suspension_waits_for_the_savepoint_and_resuming_starts_from_it(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    flink = ScriptedFlink()
    flink.finish = False
    await running(pipelines, operator, broker, flink, flink={"savepoint_timeout": 60})
    await pipelines.edit(suspend=True)
    await pipelines.until("ProcessingReady", status="False", reason="Suspending")

    async def quiet() -> bool:
        return bool((await pipelines.deployments())["ingestion-binance-0"]["spec"]["replicas"] == 0)

    await eventually(quiet, "ingestion stopped")
    assert (await job_manager(pipelines))["spec"]["replicas"] == 1, "the job still writes its savepoint"
    flink.finish = True
    await until_suspended(pipelines)
    assert (await job_manager(pipelines))["spec"]["replicas"] == 0
    assert (await pipelines.get() or {})["status"]["job"]["savepoint"] == SAVEPOINT
    assert flink.stops == 1
    flink.state = "RUNNING"
    await pipelines.edit(suspend=False)
    await until_resumed(pipelines)
    await pipelines.run()
    await pipelines.edit(suspend=True)
    await until_suspended(pipelines)
    assert flink.stops == 2, "the second suspension takes a savepoint of its own"


@pytest.mark.parametrize(
    "change",
    [
        {"windows": ["1m"]},
        {"feeds": ["book"]},
        {"depth": {"levels": 20, "calculate": 5}},
        {"processing": {"parallelism": 2}},
    ],
    ids=["windows", "feeds", "depth", "parallelism"],
)
async def test_an_upgrade_saves_the_state_and_tells_what_the_new_job_makes_of_it(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, change: dict[str, Any]
) -> None:
    flink = ScriptedFlink()
    flink.finish = False
    await running(pipelines, operator, broker, flink, flink={"savepoint_timeout": 60})
    before, settings = start_of(await job_manager(pipelines)), await job_settings(pipelines)
    await pipelines.edit(**change)
    await pipelines.until("ProcessingReady", status="False", reason="Upgrading")
    assert await job_settings(pipelines) == settings, "what the job that stops was told stays with it"
    flink.finish = True

    async def upgraded() -> bool:
        return start_of(await job_manager(pipelines)) != before

    await eventually(upgraded, "another start of the job")
    assert await job_settings(pipelines) != settings or "processing" in change
    assert flink.stops == 1
    assert (await pipelines.get() or {})["status"]["job"]["savepoint"] == SAVEPOINT
    flink.begin("unfit", "starts from the beginning of its topics, without the state in /state: its queries are others")

    async def told() -> bool:
        return "without the state in /state" in (await pipelines.events()).get("JobStateUnfit", "")

    await pipelines.make_ready(until=told)
    said = (await pipelines.get() or {})["status"]["job"]
    assert "its queries are others" in said["message"]
    assert said["id"] == flink.id


async def test_a_job_manager_that_was_lost_is_told_to_have_gone_on_from_its_checkpoint(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    flink = ScriptedFlink()
    await running(pipelines, operator, broker, flink, reconcile={"interval": 0.5})
    flink.begin("restored", "goes on from file:///state/state-1/a/chk-9")

    async def told() -> bool:
        return "goes on from file:///state/state-1/a/chk-9" in (await pipelines.events()).get("JobRestored", "")

    await eventually(told, "the event")
    await pipelines.until("ProcessingReady", status="True", message="goes on from")


async def test_a_job_that_gives_no_savepoint_is_stopped_in_time(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    flink = ScriptedFlink()
    flink.finish = False
    await running(pipelines, operator, broker, flink, flink={"savepoint_timeout": 2})
    before = start_of(await job_manager(pipelines))
    await pipelines.edit(processing={"parallelism": 2})

    async def upgraded() -> bool:
        return start_of(await job_manager(pipelines)) != before

    await eventually(upgraded, "another start of the job")

    async def told() -> bool:
        return "newest checkpoint file:///state/chk-9" in (await pipelines.events()).get("JobStopped", "")

    await eventually(told, "an event")


async def test_a_restart_of_the_operator_does_not_make_a_running_job_unready(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    flink = ScriptedFlink()
    await running(pipelines, operator, broker, flink)
    before = (await pipelines.get() or {})["metadata"]["resourceVersion"]
    await operator.stop()
    again = await operator.start()
    again.reconciler._rest = flink  # type: ignore[assignment]

    async def looked() -> bool:
        return again.queue.results["ok"] >= 2

    await eventually(looked, "two passes")
    assert operator.writes == 0
    assert (await pipelines.get() or {})["metadata"]["resourceVersion"] == before


async def test_a_change_that_is_taken_back_while_the_job_stops_starts_it_anew(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    flink = ScriptedFlink()
    flink.finish = False
    await running(pipelines, operator, broker, flink, flink={"savepoint_timeout": 60})
    await pipelines.edit(suspend=True)
    await pipelines.until("ProcessingReady", status="False", reason="Suspending")

    async def asked() -> bool:
        return flink.stops == 1

    await eventually(asked, "the savepoint asked for")
    await pipelines.edit(suspend=False)
    flink.finish = True

    async def again() -> bool:
        return start_of(await job_manager(pipelines)) is not None

    await eventually(again, "another start of the job")
    flink.state = "RUNNING"
    await pipelines.run()


async def test_a_job_that_somebody_else_ended_is_started_anew(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    flink = ScriptedFlink()
    flink.state = "FINISHED"
    flink.savepoint_path = SAVEPOINT
    await started(pipelines, operator, broker, flink, flink={"savepoint_timeout": 60})

    async def again() -> bool:
        return start_of(await job_manager(pipelines)) is not None

    await eventually(again, "another start of the job")


async def test_a_job_whose_state_is_gone_with_its_pods_starts_from_its_topics_and_says_so(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    """Without a claim, as in the smallest pipeline: no savepoint is asked for."""
    flink = ScriptedFlink()
    await running(pipelines, operator, broker, flink, claim=False)
    await pipelines.until(
        "StateDurable", status="False", reason="NoDurableStorage", message="or processing.checkpointC"
    )
    await pipelines.edit(suspend=True)
    await until_suspended(pipelines)
    assert flink.stops == 0
    await pipelines.edit(suspend=False)
    await until_resumed(pipelines)
    assert "checkpointClaim" in (await pipelines.events())["JobStopped"]


async def test_a_correction_does_not_wait_for_a_job_that_never_began(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    """Its Pods are pending, as they are where nothing has so much memory."""
    reconciling = await operator.start(flink={"savepoint_timeout": 60})
    reconciling.reconciler._rest = flink = ScriptedFlink()  # type: ignore[assignment]
    processing = {"checkpointDirectory": "s3://bucket/state", "resources": {"memory": "900Gi"}}
    await pipelines.create(address=broker.address, broker={"topicPrefix": broker.prefix()}, processing=processing)

    async def made() -> bool:
        return "taskmanager" in await pipelines.deployments()

    await eventually(made, "the job's Deployments")
    await pipelines.edit(processing={"resources": {"memory": "2Gi"}})

    async def corrected() -> bool:
        container = (await job_manager(pipelines))["spec"]["template"]["spec"]["containers"][0]
        return bool(container["resources"]["limits"]["memory"] == "2Gi")

    await eventually(corrected, "the correction")
    assert flink.stops == 0, "nobody is asked for a savepoint"
