"""The life of the stream job: start, stop with a savepoint, upgrade.

With Flink's operator a FlinkDeployment says what shall be, and that operator does it. Without it the job runs in
Deployments of our own, and a change of the job means: stop it with a savepoint, then start the new one. Only then are
the Deployments written, so a job is never replaced while its state exists only in its memory.

Which state a job goes on from is not decided here: the job does that by itself whenever it starts, and what it says
of it becomes an event and part of the status.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from marketpipeline.plan import StreamJob

from marketpipeline_operator.builders import Context, JobState
from marketpipeline_operator.builders.context import digest
from marketpipeline_operator.builders.flink_deployment import FLINK_DEPLOYMENT
from marketpipeline_operator.builders.standalone import (
    JOB_MANAGER,
    TASK_MANAGER,
    job_hash,
    job_manager,
    start_of,
)
from marketpipeline_operator.cluster.cache import Cache, Key
from marketpipeline_operator.flink.health import JobHealth, flink_deployment_health, job_health
from marketpipeline_operator.flink.kept_savepoints import SavepointTasks
from marketpipeline_operator.flink.rest import FlinkRest, JobView
from marketpipeline_operator.flink.savepoint import ENDED, Stopped, job_address, stop_job, why_no_savepoint
from marketpipeline_operator.names import JOB, WORKLOAD, Object, child_name
from marketpipeline_operator.observe.background import BackgroundTask
from marketpipeline_operator.observe.components import deployment_state, merged

__all__ = ["STATE_RESET", "STATE_UNFIT", "JobDecision", "JobTasks", "decide_job"]

_KEPT = ("id", "savepoint", "message", "checkpointTime", "checkpointBytes")
"""What a status of the job carries on from one pass to the next."""
STATE_UNFIT = "JobStateUnfit"
"""The event of a job that started without the state that there is."""
STATE_RESET = "JobReset"
"""The event of a job that was told to start without its state."""
_STATE_EVENTS = {"restored": "JobRestored", "unfit": STATE_UNFIT, "reset": STATE_RESET}
"""The event of a job that started, by where its state comes from."""


@dataclass
class JobTasks:
    """Questions to the JobManager: how the job is, a stop with a savepoint, and savepoints that are kept."""

    view: BackgroundTask[JobView | None]
    stop: BackgroundTask[Stopped]
    kept: SavepointTasks

    @classmethod
    def of(cls, task: Callable[[str], BackgroundTask[Any]]) -> JobTasks:
        """`task` makes a background task by its name."""
        return cls(task("job"), task("stop"), SavepointTasks(task("savepoint"), task("disposal")))

    def close(self) -> None:
        """Stop what is under way."""
        self.view.close()
        self.stop.close()
        self.kept.close()


@dataclass(frozen=True)
class JobDecision:
    """What to render of the job now, what to leave as it is for now, and what the status says of it; `view` is of one
    that runs."""

    state: JobState
    health: JobHealth
    status: Object = field(default_factory=dict)
    frozen: frozenset[tuple[str, str]] = frozenset()
    events: tuple[tuple[str, str], ...] = ()
    again: float | None = None
    pending: bool = False
    view: JobView | None = None


def decide_job(
    context: Context,
    cache: Cache,
    key: Key,
    tasks: JobTasks,
    rest: FlinkRest,
    before: Object,
    *,
    waits: Callable[[Object, Object], bool] = lambda _wanted, _live: False,
) -> JobDecision:
    """Decide by what is there. `before` is the last status of the job; `waits` tells of a JobManager that is wanted and
    of the one that is there whether the change can wait. Does not wait."""
    job = context.plan.stream_job
    if job is None:
        return JobDecision(JobState(), JobHealth(True, "NONE", stopped=True, reason="NotNeeded"))
    if context.uses_flink_operator:
        return _with_operator(context, cache, key, tasks, rest, before)
    live = cache.child(key, "Deployment", child_name(context.name, JOB_MANAGER))
    status = _carried("standalone", before)
    if live is None or live["spec"].get("replicas", 1) == 0:
        return _start(not context.plan.suspended, status)
    return _Running(context, cache, key, job, live, tasks, rest, status, waits).decide()


def _with_operator(
    context: Context, cache: Cache, key: Key, tasks: JobTasks, rest: FlinkRest, before: Object
) -> JobDecision:
    live = cache.child(key, "FlinkDeployment", child_name(context.name, FLINK_DEPLOYMENT))
    health = flink_deployment_health(live)
    status = _carried("operator", before) | {"state": health.state}
    state = JobState(running=not context.plan.suspended)
    if live is None or not health.ready:
        return JobDecision(state, health, status)
    mark = f"{live['metadata']['uid']}/{live['metadata'].get('generation')}"
    tasks.view.ask(mark, lambda: rest.job(job_address(context)), max_age=context.settings.reconcile.interval)
    view = tasks.view.result(mark)
    events = _told(view, status)
    return JobDecision(state, replace(health, message=status.get("message", "")), status, events=events, view=view)


def _carried(mode: str, before: Object) -> Object:
    return {"mode": mode} | {name: value for name, value in before.items() if name in _KEPT}


def _told(view: JobView | None, status: Object) -> tuple[tuple[str, str], ...]:
    """What a job says of its state, into the status: its newest checkpoint, and of one that was not seen before what it
    goes on from, also as an event."""
    if view is not None and view.completed_at is not None:
        moment = datetime.fromtimestamp(view.completed_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        status |= {"checkpointTime": moment, "checkpointBytes": view.completed_bytes or 0}
    if view is not None and view.busy is not None:
        status["busyPercent"] = round(100 * view.busy)
    if view is None or not view.origin or view.id == status.get("id"):
        return ()
    status |= {"id": view.id, "message": view.reason}
    return ((_STATE_EVENTS.get(view.origin, "JobStarted"), f"the stream job {view.reason}"),)


def _start(wanted: bool, status: Object, start: str | None = None) -> JobDecision:
    """Nothing runs: leave it so, or start it."""
    if not wanted:
        health = JobHealth(False, "SUSPENDED", stopped=True, reason="Suspended", message=status.get("message", ""))
        return JobDecision(JobState(running=False), health, status | {"state": "SUSPENDED"})
    health = JobHealth(False, "CREATED", reason="Starting", message="the job is started")
    return JobDecision(JobState(running=True, start=start), health, status | {"state": "CREATED"})


def _starts(pod: Object) -> list[str]:
    """Which Pod it is, and which containers ran in it."""
    containers = pod.get("status", {}).get("containerStatuses", [])
    return [pod["metadata"]["uid"], *sorted(container.get("containerID", "") for container in containers)]


@dataclass(frozen=True)
class _Running:
    """A job of our own whose JobManager's Deployment, `live`, has a replica. `status` is changed by the decision."""

    context: Context
    cache: Cache
    key: Key
    job: StreamJob
    live: Object
    tasks: JobTasks
    rest: FlinkRest
    status: Object
    waits: Callable[[Object, Object], bool]

    def decide(self) -> JobDecision:
        """Let it run where it is the job that is wanted, else stop it."""
        wanted = not self.context.plan.suspended
        same = wanted and self.live["metadata"].get("annotations", {}).get(JOB) == job_hash(self.context, self.job)
        if wanted and not same:
            running = replace(self.context, job=self._state)
            same = self.waits(job_manager(running, self.job), self.live)
        return self._keep() if same and not self._has_ended() else self._stop(wanted)

    @property
    def _mark(self) -> str:
        return f"{self.live['metadata']['uid']}/{self.live['metadata'].get('generation')}"

    @property
    def _pods_mark(self) -> str:
        """Another after each start of a container: what Flink said before holds for that job no more."""
        pods = (pod for pod in self.cache.pods(self.key) if pod["metadata"]["labels"].get(WORKLOAD) == self.job.name)
        return digest([self._mark, sorted(_starts(pod) for pod in pods)])

    @property
    def _state(self) -> JobState:
        """As it was started."""
        return JobState(running=True, start=start_of(self.live))

    def _has_ended(self) -> bool:
        """Whether the job ended or is being stopped: by a change that was taken back, or by somebody else."""
        view = self.tasks.view.result(self._pods_mark)
        stopping = self.tasks.stop.running or self.tasks.stop.result(self._mark) is not None
        return stopping or (view is not None and view.state in ENDED)

    def _keep(self) -> JobDecision:
        """It runs as it should; ask Flink how it is."""
        pods = self.cache.pods(self.key)
        workers = self.cache.child(self.key, "Deployment", child_name(self.context.name, TASK_MANAGER))
        parts = merged(
            self.job.name,
            [
                deployment_state(JOB_MANAGER, 1, self.live, pods),
                deployment_state(TASK_MANAGER, self.job.parallelism, workers, pods),
            ],
        )
        health, again = self._health(parts.is_ready), None
        if not parts.is_ready and parts.faults:
            fault = parts.faults[0]
            health = replace(health, fault=fault, reason=fault.reason, message=fault.message)
        elif parts.is_ready and not health.ready:
            again = 2.0
        pending = parts.is_ready and health.state == "SUBMITTING"
        status = self.status | {"state": health.state}
        events: tuple[tuple[str, str], ...] = ()
        view = self.tasks.view.result(self._pods_mark) if health.ready else None
        if health.ready:
            events = _told(view, status)
            health = replace(health, message=status.get("message", ""))
        return JobDecision(self._state, health, status, events=events, again=again, pending=pending, view=view)

    def _health(self, ready: bool) -> JobHealth:
        if not ready:
            text = "JobManager and TaskManagers are starting"
            return JobHealth(False, "INITIALIZING", reason="Progressing", message=text)
        mark, context, ask = self._pods_mark, self.context, self.tasks.view
        known = ask.result(mark)
        reconcile, scaling = context.settings.reconcile, context.pipeline.spec.processing.scaling
        usual = reconcile.health_interval if scaling else reconcile.interval
        age = usual if known is not None and known.state == "RUNNING" else 1.5
        options = {"busy": True} if scaling else {}
        ask.ask(mark, lambda: self.rest.job(job_address(context), **options), max_age=age)
        return job_health(known, ask.error(mark))

    def _stop(self, wanted: bool) -> JobDecision:
        """Stop it, for good or to start another: first the savepoint, and until then nothing of it is changed."""
        live, status, context = self.live, self.status, self.context
        if why_not := why_no_savepoint(live, self.cache.pods(self.key)):
            ended: Stopped | None = Stopped(None, f"stopped without a savepoint ({why_not})")
        else:
            self.tasks.stop.ask(self._mark, lambda: stop_job(self.rest, context))
            ended = self.tasks.stop.result(self._mark)
        if ended is None:
            return self._stopping(wanted)
        status.pop("savepoint", None)
        status |= {"message": ended.message} | ({"savepoint": ended.savepoint} if ended.savepoint else {})
        decision = _start(wanted, status, start=str(live["metadata"].get("generation")))
        return replace(decision, events=(("JobStopped", ended.message),))

    def _stopping(self, wanted: bool) -> JobDecision:
        message = f"stopping with a savepoint, to be {'restarted' if wanted else 'suspended'}"
        if (error := self.tasks.stop.error(self._mark)) is not None:
            message += f": {error}"
        name = self.context.name
        frozen = frozenset(
            {
                ("ConfigMap", child_name(name, self.job.name)),
                *(("Deployment", child_name(name, part)) for part in (JOB_MANAGER, TASK_MANAGER)),
            }
        )
        health = JobHealth(False, "STOPPING", reason="Upgrading" if wanted else "Suspending", message=message)
        return JobDecision(self._state, health, self.status | {"state": "STOPPING"}, frozen=frozen)
