"""The life of the stream job: start, stop with a savepoint, resume from it, upgrade.

With Flink's operator a FlinkDeployment says what shall be, and that operator does it. Without it the job runs in
Deployments of our own, and a change of the job means: stop it with a savepoint, then start the new one from it. Only
then are the Deployments written, so a job is never replaced while its state exists only in its memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from marketpipeline.plan import StreamJob

from marketpipeline_operator.builders import Context, JobState
from marketpipeline_operator.builders.context import digest
from marketpipeline_operator.builders.flink_deployment import FLINK_DEPLOYMENT
from marketpipeline_operator.builders.standalone import (
    JOB_MANAGER,
    TASK_MANAGER,
    checkpoint_claim,
    job_hash,
    savepoint_directory,
    start_of,
    started_from,
)
from marketpipeline_operator.builders.stream_job import is_local, is_readable, plan_hash
from marketpipeline_operator.cluster.cache import Cache, Key
from marketpipeline_operator.flink.health import JobHealth, flink_deployment_health, job_health
from marketpipeline_operator.flink.rest import FlinkRest, JobView
from marketpipeline_operator.flink.savepoint import ENDED, Stopped, job_address, savepoint_target, stop_job
from marketpipeline_operator.names import JOB, WORKLOAD, Object, child_name
from marketpipeline_operator.observe.background import BackgroundTask
from marketpipeline_operator.observe.components import deployment_state, merged

__all__ = ["JobDecision", "JobTasks", "decide_job"]

_KEPT = ("savepoint", "claim", "plan", "message")
"""What a status of the job carries on from one pass to the next."""


@dataclass
class JobTasks:
    """Questions to the JobManager: how the job is, and a stop with a savepoint."""

    view: BackgroundTask[JobView | None]
    stop: BackgroundTask[Stopped]

    @classmethod
    def of(cls, task: Callable[[str], BackgroundTask[object]]) -> JobTasks:
        """`task` makes a background task by its name."""
        return cls(task("job"), task("stop"))  # type: ignore[arg-type]

    def close(self) -> None:
        """Stop what is under way."""
        self.view.close()
        self.stop.close()


@dataclass(frozen=True)
class JobDecision:
    """What to render of the job now, what to leave as it is for now, and what the status says of it."""

    state: JobState
    health: JobHealth
    status: Object = field(default_factory=dict)
    frozen: frozenset[tuple[str, str]] = frozenset()
    events: tuple[tuple[str, str], ...] = ()
    again: float | None = None
    pending: bool = False


def decide_job(
    context: Context, cache: Cache, key: Key, tasks: JobTasks, rest: FlinkRest, before: Object
) -> JobDecision:
    """Decide by what is there. `before` is the last status of the job. Does not wait."""
    job = context.plan.stream_job
    if job is None:
        return JobDecision(JobState(), JobHealth(True, "NONE", stopped=True, reason="NotNeeded"))
    if context.uses_flink_operator:
        return _with_operator(context, cache, key, job, before)
    live = cache.child(key, "Deployment", child_name(context.name, JOB_MANAGER))
    status = {"mode": "standalone"} | {k: v for k, v in before.items() if k in _KEPT}
    if live is None or live["spec"].get("replicas", 1) == 0:
        return _start(job, not context.plan.suspended, status)
    return _Running(context, cache, key, job, live, tasks, rest, status).decide()


def _with_operator(context: Context, cache: Cache, key: Key, job: StreamJob, before: Object) -> JobDecision:
    live = cache.child(key, "FlinkDeployment", child_name(context.name, FLINK_DEPLOYMENT))
    health = flink_deployment_health(live)
    wanted = plan_hash(job)
    known = before.get("plan", wanted)
    reset = live is not None and known != wanted
    settled = health.ready and live is not None and live["spec"]["job"]["upgradeMode"] == "stateless"
    status = {"mode": "operator", "state": health.state, "plan": wanted if settled or not reset else known}
    if reset:
        text = "the job's queries changed, so it starts without its old state, from the beginning of its topics"
        status["message"] = text
        health = replace(health, message=f"{text}; {health.message}".removesuffix("; "))
    elif before.get("message"):
        status["message"] = before["message"]
        health = replace(health, message=before["message"]) if health.ready else health
    state = JobState(running=not context.plan.suspended, stateless=reset)
    # The upgrade without state is over: the next pass, which nothing else calls for, asks for savepoints again.
    return JobDecision(state, health, status, again=0.5 if settled else None)


def _start(job: StreamJob, wanted: bool, status: Object, start: str | None = None) -> JobDecision:
    """Nothing runs: leave it so, or start from the last savepoint if it fits."""
    if not wanted:
        health = JobHealth(False, "SUSPENDED", stopped=True, reason="Suspended", message=status.get("message", ""))
        return JobDecision(JobState(running=False), health, status | {"state": "SUSPENDED"})
    plan, savepoint = plan_hash(job), status.get("savepoint")
    if savepoint and status.get("plan") != plan:
        status["message"] = (
            "the job's queries changed, so it starts without its old state, from the beginning of its topics; "
            f"that state is in {savepoint}"
        )
        savepoint = None
    elif savepoint and not is_readable(savepoint, status.get("claim"), job):
        status["message"] = (
            f"the job's Pods no longer mount the volume of {savepoint}, so it starts without its old state, from the "
            "beginning of its topics"
        )
        savepoint = None
    status |= {"state": "CREATED", "plan": plan}
    if savepoint is None:
        status.pop("savepoint", None)
        status.pop("claim", None)
    origin = savepoint or "the beginning of its topics"
    health = JobHealth(False, "CREATED", reason="Starting", message=f"from {origin}")
    return JobDecision(JobState(running=True, savepoint=savepoint, start=start), health, status)


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

    def decide(self) -> JobDecision:
        """Let it run where it is the job that is wanted, else stop it."""
        wanted = not self.context.plan.suspended
        same = wanted and self.live["metadata"].get("annotations", {}).get(JOB) == job_hash(self.context, self.job)
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
        return JobState(running=True, savepoint=started_from(self.live), start=start_of(self.live))

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
        if health.ready:
            origin = started_from(self.live)
            health = replace(health, message=f"resumed from {origin}" if origin else self.status.get("message", ""))
        pending = parts.is_ready and health.state == "SUBMITTING"
        status = self.status | {"state": health.state, "plan": plan_hash(self.job)}
        return JobDecision(self._state, health, status, again=again, pending=pending)

    def _health(self, ready: bool) -> JobHealth:
        if not ready:
            text = "JobManager and TaskManagers are starting"
            return JobHealth(False, "INITIALIZING", reason="Progressing", message=text)
        mark, context, ask = self._pods_mark, self.context, self.tasks.view
        known = ask.result(mark)
        age = context.settings.reconcile.interval if known is not None and known.state == "RUNNING" else 1.5
        ask.ask(mark, lambda: self.rest.job(job_address(context)), max_age=age)
        return job_health(known, ask.error(mark))

    def _stop(self, wanted: bool) -> JobDecision:
        """Stop it, for good or to start another: first the savepoint, and until then nothing of it is changed."""
        live, status, context = self.live, self.status, self.context
        directory, why_not = savepoint_target(live, self.cache.pods(self.key))
        if directory is None:
            ended: Stopped | None = Stopped(None, f"stopped without a savepoint ({why_not})")
            if is_local(savepoint_directory(live) or "") and checkpoint_claim(live) is None:
                status.pop("savepoint", None)
        else:
            self.tasks.stop.ask(self._mark, lambda: stop_job(self.rest, context, directory))
            ended = self.tasks.stop.result(self._mark)
        if ended is None:
            return self._stopping(wanted)
        message = ended.message
        if ended.savepoint:
            status["savepoint"] = ended.savepoint
            status.pop("claim", None)
            if is_local(ended.savepoint) and (claim := checkpoint_claim(live)):
                status["claim"] = claim
        elif wanted:
            before = status.get("savepoint")
            message += f"; it resumes from {before}" if before else "; it starts from the beginning of its topics"
        status["message"] = message
        decision = _start(self.job, wanted, status, start=str(live["metadata"].get("generation")))
        return replace(decision, events=(("JobStopped", message),))

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
