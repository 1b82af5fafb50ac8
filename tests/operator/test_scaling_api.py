"""Parts whose number of processes the operator chooses, against a real API server: up with the load, and back."""

from __future__ import annotations

from marketpipeline.telemetry import Health
from marketpipeline.telemetry.health import HealthServer
from marketpipeline_operator.cluster.kinds import POD

from tests.operator.support import OperatorUnderTest, Pipelines, ScriptedFlink, eventually
from tests.operator.test_standalone_api import started
from tests.operator.test_status_api import pods_of
from tests.support.broker import RunningBroker

ADDRESS = "127.77.0.2"
SINK = "sink-redis"


async def test_a_sink_that_is_behind_gets_processes_and_gives_them_back(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    """The Pod is asked as any other; who else restarts the operator finds the decision in the status."""
    health = Health("ok", {"lag": 25_000, "rows": 0})
    server = HealthServer(ADDRESS, 9100, lambda: health, lambda: b"")
    scaling = {"max": 5, "target": 10_000, "coolDown": "2s"}
    quick = {"health_interval": 0.2}
    try:
        await started(pipelines, operator, broker, ScriptedFlink(), reconcile=quick)
        await pipelines.edit(sinks={"redis": {"scaling": scaling}})
        pod = (await pods_of(pipelines, SINK))[0]["metadata"]["name"]
        await pipelines.set_status(POD, pod, {"podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]})
        await eventually(lambda: replicas(pipelines, 3), "a process for each 10,000 records")
        said = await eventually(lambda: decision(pipelines, 3), "the status tells it")
        assert "from 1 to 3: 25,000 records to store" in said
        assert f"{SINK} from 1 to 3" in (await pipelines.events())["Scaled"]

        await operator.stop()
        await operator.start(reconcile=quick)
        await pipelines.make_ready()
        assert await replicas(pipelines, 3), "as it was decided"
        health = Health("ok", {"lag": 0, "rows": 0})
        await eventually(lambda: replicas(pipelines, 1), "the load has gone")
        await pipelines.edit(sinks={"redis": {"scaling": {"min": 2}}})
        await eventually(lambda: replicas(pipelines, 2), "its bounds")
        await pipelines.edit(sinks={"redis": {"scaling": None}})
        await eventually(lambda: replicas(pipelines, 1), "what the spec says")
    finally:
        server.close()


async def decision(pipelines: Pipelines, wanted: int) -> str | None:
    """Why the sink has so many processes, once the status says that it has."""
    entries = (await pipelines.get() or {})["status"].get("scaling", [])
    return next((one["reason"] for one in entries if (one["name"], one["replicas"]) == (SINK, wanted)), None)


async def replicas(pipelines: Pipelines, wanted: int) -> bool:
    """Whether the sink has so many processes."""
    return bool((await pipelines.deployments())[SINK]["spec"]["replicas"] == wanted)
