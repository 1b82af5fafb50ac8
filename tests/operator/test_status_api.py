"""A status never claims more than was seen: rollouts, degraded processes, failed jobs, a JobManager lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from marketpipeline.telemetry import Health
from marketpipeline.telemetry.health import HealthServer
from marketpipeline_operator.cluster.kinds import CHILD_KINDS, EVENT, POD
from marketpipeline_operator.names import PROCESS, Object

from tests.operator.support import OperatorUnderTest, Pipelines, ScriptedFlink, eventually
from tests.operator.test_standalone_api import running
from tests.support.broker import RunningBroker

CRON_JOB = next(kind for kind in CHILD_KINDS if kind.kind == "CronJob")
ADDRESS = "127.77.0.1"


async def pods_of(pipelines: Pipelines, process: str) -> list[Object]:
    return [pod for pod in await pipelines.pods() if pod["metadata"]["labels"][PROCESS] == process]


def pulling(image: str) -> Object:
    text = f'Back-off pulling image "{image}": not found'
    waiting = {"name": "api", "state": {"waiting": {"reason": "ImagePullBackOff", "message": text}}}
    container: Object = {"ready": False, "restartCount": 0, "image": "", "imageID": ""}
    return {"phase": "Pending", "containerStatuses": [container | waiting]}


async def test_a_new_image_that_cannot_be_pulled_is_not_ready_though_the_old_pod_is(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    """Ready turns False with the rollout, names the image, and is back with the old spec."""
    flink = ScriptedFlink()
    await running(pipelines, operator, broker, flink, images={"tag": "1"})
    old = (await pods_of(pipelines, "api"))[0]["metadata"]["uid"]
    await operator.stop()
    again = await operator.start(images={"overrides": {"api": "registry/api:broken"}, "tag": "1"})
    again.reconciler._rest = flink  # type: ignore[assignment]

    async def both() -> Object | None:
        found = await pods_of(pipelines, "api")
        return next((pod for pod in found if pod["metadata"]["uid"] != old), None) if len(found) == 2 else None

    new = await eventually(both, "the new Pod beside the old one")
    await pipelines.until("Ready", status="False", message="api")
    await pipelines.set_status(POD, new["metadata"]["name"], pulling("registry/api:broken"))
    said = await pipelines.until("Ready", status="False", reason="ImagePullBackOff")
    assert 'pulling image "registry/api:broken"' in said["message"]
    await pipelines.until("Degraded", status="True", reason="ImagePullBackOff")
    assert (await pipelines.get() or {})["status"]["phase"] == "Degraded"
    kinds = {e["reason"]: e["type"] async for e in pipelines.kubernetes.list(EVENT, pipelines.namespace)
             if e["message"].startswith("Ready is False")}  # fmt: skip
    assert kinds["ImagePullBackOff"] == "Warning"
    assert "Normal" in kinds.values(), "while it was made"
    await operator.stop()
    again = await operator.start(images={"tag": "1"})
    again.reconciler._rest = flink  # type: ignore[assignment]
    await pipelines.until("Ready", status="True")
    assert [pod["metadata"]["uid"] for pod in await pods_of(pipelines, "api")] == [old]


async def test_a_process_that_says_it_is_degraded_makes_the_pipeline_not_ready(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    """Its Pod stays ready, as it should: only the process itself knows that its store is away."""
    health = Health("ok")
    server = HealthServer(ADDRESS, 9100, lambda: health, lambda: b"")
    try:
        await running(pipelines, operator, broker, ScriptedFlink(), reconcile={"health_interval": 0.2})
        pod = (await pods_of(pipelines, "sink-redis"))[0]
        await pipelines.set_status(POD, pod["metadata"]["name"], {"podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]})
        health = Health("degraded", {"error": "Redis does not answer", "away_ms": 5})
        said = await pipelines.until("Ready", status="False", reason="ProcessDegraded")
        assert "sink-redis: degraded: Redis does not answer" in said["message"]
        await pipelines.until("SinksReady", status="False", reason="ProcessDegraded")
        await pipelines.until("Degraded", status="True", reason="ProcessDegraded")
        health = Health("ok")
        await pipelines.until("Ready", status="True")
        await pipelines.until("Degraded", status="False")
    finally:
        server.close()


async def test_a_scheduled_job_that_failed_is_in_the_status(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    await running(pipelines, operator, broker, ScriptedFlink())
    now = datetime.now(UTC).replace(microsecond=0)
    at, later = (moment.isoformat().replace("+00:00", "Z") for moment in (now, now + timedelta(seconds=20)))
    name = "crypto-maintenance"
    await pipelines.set_status(CRON_JOB, name, {"lastScheduleTime": at})
    said = await pipelines.until("Degraded", status="True", reason="ScheduledJobFailed")
    assert f"maintenance: the run of {at} failed" in said["message"]
    status = (await pipelines.get() or {})["status"]
    assert (status["problem"], status["lastError"]["message"]) == ("ScheduledJobFailed", said["message"])
    await pipelines.set_status(CRON_JOB, name, {"lastSuccessfulTime": later})
    await pipelines.until("Degraded", status="False", reason="NoFault")
    assert not {"problem", "lastError"} & (await pipelines.get() or {})["status"].keys()


async def test_what_flink_said_before_a_jobmanager_was_lost_does_not_count(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    """A new container is ready long before the job runs in it."""
    flink = ScriptedFlink()
    await running(pipelines, operator, broker, flink)
    flink.state = "INITIALIZING"
    manager = (await pods_of(pipelines, "jobmanager"))[0]["metadata"]["name"]
    restarted: dict[str, Any] = {"name": "jobmanager", "ready": True, "restartCount": 1, "image": "", "imageID": ""}
    started = {"containerID": "containerd://2", "state": {"running": {}}}
    await pipelines.set_status(POD, manager, {"containerStatuses": [restarted | started]})
    await pipelines.until("Ready", status="False", message="INITIALIZING")
    flink.state = "RUNNING"
    await pipelines.until("Ready", status="True")
