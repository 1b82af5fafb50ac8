"""Savepoints that are kept: asked for at a real API server, and at set times by a clock of the test's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from marketpipeline.errors import RetryableError
from marketpipeline_operator.builders import Capabilities
from marketpipeline_operator.cluster.kinds import PIPELINE_KIND
from marketpipeline_operator.flink.kept_savepoints import SavepointTasks, decide_savepoints
from marketpipeline_operator.flink.rest import JobView
from marketpipeline_operator.names import Object
from marketpipeline_operator.observe.background import BackgroundTask

from tests.operator.builders.support import context_of
from tests.operator.support import OperatorUnderTest, Pipelines, ScriptedFlink, eventually
from tests.operator.test_standalone_api import job_manager, running
from tests.support.broker import RunningBroker


async def kept(pipelines: Pipelines) -> list[str]:
    """Last parts of the places that the status names."""
    status = (await pipelines.get() or {})["status"].get("savepoints", {})
    return [entry["location"].rpartition("/")[2] for entry in status.get("kept", [])]


async def test_one_for_each_request_and_no_more_than_are_to_be_kept_also_when_the_status_is_lost(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    flink = ScriptedFlink()
    await running(pipelines, operator, broker, flink)
    await pipelines.edit(processing={"savepoints": {"keep": 1}})
    for number in range(2):
        await pipelines.annotate(savepoint=f"request {number}")

        async def taken(number: int = number) -> bool:
            return await kept(pipelines) == [f"savepoint-{number}"]

        await eventually(taken, "the newest alone")
    assert [place.rpartition("/")[2] for place in flink.removed] == ["savepoint-0"]
    told = await pipelines.events()
    assert "savepoint-1" in told["SavepointTaken"]
    assert "savepoint-0" in told["SavepointRemoved"]

    before = (await job_manager(pipelines))["metadata"]["generation"]
    flink.id, flink.found = "job-2", ((f"{flink.kept[1].rpartition('/')[0]}/savepoint-1", 1_760_000_000_000),)
    assert operator.operator is not None
    operator.operator.reconciler.capabilities = Capabilities(flink=True)
    await pipelines.kubernetes.merge(
        PIPELINE_KIND, pipelines.namespace, "crypto", {"status": None}, subresource="status"
    )

    async def whole() -> bool:
        status = (await pipelines.get() or {}).get("status", {})
        return status.get("job", {}).get("mode") == "standalone" and await kept(pipelines) == ["savepoint-1"]

    await eventually(whole, "the status as it was")
    assert len(flink.kept) == 2
    assert (await job_manager(pipelines))["metadata"]["generation"] == before


class Clockwork:
    """One pipeline's savepoints, decided at times of the test's own."""

    def __init__(self, **savepoints: Any) -> None:
        self.context = context_of(processing={"mode": "standalone", "savepoints": savepoints})
        self.flink = ScriptedFlink()
        self.pipeline: Object = {"metadata": {"name": "crypto"}}

        def task(name: str) -> BackgroundTask[Any]:
            return BackgroundTask(name, lambda: None, initial=0.01, longest=0.01)

        self.tasks = SavepointTasks(task("take"), task("remove"))

    async def at(self, now: datetime, *, runs: bool = True) -> list[str]:
        """Decide until nothing is under way; the places that are kept then."""
        while True:
            view: JobView | None = await self.flink.job("") if runs else None
            found = decide_savepoints(self.context, self.pipeline, view, self.tasks, self.flink, now)  # type: ignore[arg-type]
            settled = found.status == (self.pipeline.get("status") or {}).get("savepoints")
            self.pipeline["status"] = {"savepoints": found.status}
            self.again = found.again
            if settled and not self.tasks.take.running and not self.tasks.remove.running:
                return [entry["location"].rpartition("/")[2] for entry in found.status.get("kept", [])]
            for part in (self.tasks.take, self.tasks.remove):
                if part._task is not None:
                    await part._task


async def test_a_schedule_begins_with_its_next_time_and_makes_up_for_one_that_was_missed() -> None:
    clock, start = Clockwork(schedule="0 3 * * *", maxAge="2d"), datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert await clock.at(start) == []
    assert clock.again is not None
    assert abs(clock.again - 15 * 3600) < 1
    assert await clock.at(start + timedelta(hours=15)) == ["savepoint-0"]
    assert await clock.at(start + timedelta(hours=16)) == ["savepoint-0"]
    assert await clock.at(start + timedelta(hours=39), runs=False) == ["savepoint-0"]
    assert await clock.at(start + timedelta(hours=41)) == ["savepoint-1", "savepoint-0"]
    assert await clock.at(start + timedelta(days=20), runs=False) == ["savepoint-1", "savepoint-0"]
    assert await clock.at(start + timedelta(days=20, hours=1)) == ["savepoint-2"], "the older ones by their age"


async def test_a_savepoint_that_fails_is_told_and_tried_again() -> None:
    clock, now = Clockwork(), datetime(2026, 5, 1, 12, tzinfo=UTC)
    clock.pipeline["metadata"]["annotations"] = {"marketpipeline.dev/savepoint": "now"}
    clock.flink.away = True
    view = JobView("job-1", "RUNNING", directory="file:///state/state-0123456789abcdef")
    clock.flink.take = _refused  # type: ignore[assignment, method-assign]
    decide_savepoints(clock.context, clock.pipeline, view, clock.tasks, clock.flink, now)  # type: ignore[arg-type]
    assert clock.tasks.take._task is not None
    await clock.tasks.take._task
    found = decide_savepoints(clock.context, clock.pipeline, view, clock.tasks, clock.flink, now)  # type: ignore[arg-type]
    assert [fault.reason for fault in found.faults] == ["SavepointFailed"]
    assert "Flink is away" in found.faults[0].message
    del clock.flink.take
    clock.flink.away = False

    async def taken() -> bool:
        return await clock.at(now) == ["savepoint-0"]

    await eventually(taken, "another attempt")


async def _refused(*_: Any) -> str:
    raise RetryableError("Flink is away")
