"""The job in Deployments of our own, against a real API server: what is written, and when, around a savepoint.

Flink's answers are scripted here, since no Pod runs without a node; tests/operator/flink has the real Flink.
"""

from __future__ import annotations

from typing import Any

from marketpipeline.errors import RetryableError
from marketpipeline_operator.builders.standalone import start_of, started_from
from marketpipeline_operator.flink.rest import JobView, Savepoint

from tests.operator.support import OperatorUnderTest, Pipelines, eventually
from tests.support.broker import RunningBroker

PLACE = "file:///state/savepoints/savepoint-1"


class ScriptedFlink:
    """A JobManager with one job, as far as REST tells."""

    def __init__(self) -> None:
        self.state = "RUNNING"
        self.savepoint_path: str | None = None
        self.stops = 0
        self.finish = True
        self.away = False

    async def job(self, address: str) -> JobView | None:
        if self.away:
            raise RetryableError("Flink is away")
        return JobView("job", self.state, self.savepoint_path, "file:///state/chk-9")

    async def stop(self, address: str, job: str, directory: str) -> str:
        self.stops += 1
        return "trigger"

    async def savepoint(self, address: str, job: str, trigger: str) -> Savepoint:
        if not self.finish:
            return Savepoint(done=False)
        self.state, self.savepoint_path = "FINISHED", PLACE
        return Savepoint(done=True, location=PLACE)


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
    assert (await pipelines.get() or {})["status"]["job"]["savepoint"] == PLACE
    assert flink.stops == 1
    flink.state = "RUNNING"
    await pipelines.edit(suspend=False)
    await until_resumed(pipelines)
    assert started_from(await job_manager(pipelines)) == PLACE
    await pipelines.make_ready()
    await pipelines.until("Ready", status="True")
    await pipelines.edit(suspend=True)
    await until_suspended(pipelines)
    assert flink.stops == 2, "the second suspension takes a savepoint of its own"


async def test_an_upgrade_keeps_the_state_where_the_queries_are_the_same(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    flink = ScriptedFlink()
    await running(pipelines, operator, broker, flink)
    await pipelines.edit(processing={"parallelism": 2})

    async def upgraded() -> bool:
        found = await pipelines.deployments()
        return bool(found["taskmanager"]["spec"]["replicas"] == 2)

    await eventually(upgraded, "two TaskManagers")
    assert started_from(await job_manager(pipelines)) == PLACE
    flink.state = "RUNNING"
    await pipelines.edit(windows=["1m"])

    async def anew() -> bool:
        return started_from(await job_manager(pipelines)) is None

    await eventually(anew, "the new job")
    said = (await pipelines.get() or {})["status"]["job"]["message"]
    assert "without its old state" in said
    assert PLACE in said


async def test_a_job_that_gives_no_savepoint_is_stopped_in_time_and_goes_on_from_its_checkpoint(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    flink = ScriptedFlink()
    flink.finish = False
    await running(pipelines, operator, broker, flink, flink={"savepoint_timeout": 2})
    await pipelines.edit(processing={"parallelism": 2})

    async def upgraded() -> bool:
        return started_from(await job_manager(pipelines)) == "file:///state/chk-9"

    await eventually(upgraded, "the new job from the checkpoint")

    async def told() -> bool:
        return "stopped without a savepoint" in (await pipelines.events()).get("JobStopped", "")

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
        return started_from(await job_manager(pipelines)) == PLACE

    await eventually(again, "the job started anew from its savepoint")
    flink.state = "RUNNING"
    await pipelines.make_ready()
    await pipelines.until("Ready", status="True")


async def test_a_job_that_somebody_else_ended_is_started_anew(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    flink = ScriptedFlink()
    flink.state = "FINISHED"
    flink.savepoint_path = PLACE
    await started(pipelines, operator, broker, flink, flink={"savepoint_timeout": 60})

    async def again() -> bool:
        manager = await job_manager(pipelines)
        return started_from(manager) == PLACE and start_of(manager) is not None

    await eventually(again, "another start, from the savepoint that is known")


async def test_a_job_whose_state_is_gone_with_its_pods_starts_from_its_topics_and_says_so(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    """Without a claim, as in the smallest pipeline: no savepoint is asked for, none is started from."""
    flink = ScriptedFlink()
    await running(pipelines, operator, broker, flink, claim=False)
    await pipelines.edit(suspend=True)
    await until_suspended(pipelines)
    assert flink.stops == 0
    await pipelines.edit(suspend=False)
    await until_resumed(pipelines)
    assert started_from(await job_manager(pipelines)) is None
    assert "checkpointClaim" in (await pipelines.events())["JobStopped"]


async def test_a_savepoint_that_the_new_pods_cannot_reach_is_not_started_from(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    flink = ScriptedFlink()
    await running(pipelines, operator, broker, flink)
    await pipelines.edit(processing={"checkpointClaim": "other"})

    async def told() -> bool:
        return "no longer mount" in ((await pipelines.get() or {})["status"]["job"].get("message") or "")

    await eventually(told, "the message")
    assert flink.stops == 1
    assert started_from(await job_manager(pipelines)) is None


async def test_a_correction_does_not_wait_for_a_job_that_never_began(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    """Its Pods are pending, as they are where nothing has so much memory."""
    reconciling = await operator.start(flink={"savepoint_timeout": 60})
    reconciling.reconciler._rest = ScriptedFlink()  # type: ignore[assignment]
    processing = {"checkpointDirectory": "s3://bucket/state", "resources": {"memory": "900Gi"}}
    await pipelines.create(address=broker.address, broker={"topicPrefix": broker.prefix()}, processing=processing)

    async def made() -> bool:
        return "taskmanager" in await pipelines.deployments()

    await eventually(made, "the job's Deployments")
    await pipelines.edit(processing={"resources": {"memory": "2Gi"}})

    async def corrected() -> bool:
        container = (await job_manager(pipelines))["spec"]["template"]["spec"]["containers"][0]
        return bool(container["resources"]["limits"]["memory"] == "2Gi")

    await eventually(corrected, "the correction", seconds=5)
