"""The life of the stream job: start, stop with a savepoint, go on from it, upgrade.

With Flink's operator it is that one's work, told by the FlinkDeployment. Without it the job runs in Deployments of our
own, and a change of the job is: stop with a savepoint, then start the new one from it. Only then are the Deployments
written, so a job is never replaced while its state is only in its memory.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace

from marketpipeline.errors import RetryableError
from marketpipeline.plan import StreamJob

from marketpipeline_operator.builders import Context, JobState
from marketpipeline_operator.builders.flink_deployment import FLINK_DEPLOYMENT
from marketpipeline_operator.builders.network_policy import FLINK_REST_PORT
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
from marketpipeline_operator.flink.rest import FlinkRest, JobView
from marketpipeline_operator.names import JOB, PROCESS, Object, child_name
from marketpipeline_operator.reconcile.memory import Memory, Stopped
from marketpipeline_operator.status.components import Fault, deployment_state, merged
from marketpipeline_operator.status.job import JobHealth, flink_deployment_health

__all__ = ["JobDecision", "decide_job", "job_address", "savepoint_target", "stop_job"]

_POLL_SECONDS = 1.0
_TOLD_SECONDS = 10.0
"""After its end a job's savepoint is waited for: Flink answers from a copy that may be three seconds old."""
_STUCK_SECONDS = 10.0
"""So long a job that does not run is given to run again, and then stopped as it is."""
_KEPT = ("savepoint", "claim", "plan", "message")
"""What a status of the job carries on from one pass to the next."""
_ENDED = frozenset({"FINISHED", "CANCELED"})
_FAILED = frozenset({"FAILED", "FAILING", "RESTARTING"})


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
    context: Context, cache: Cache, key: Key, memory: Memory, rest: FlinkRest, before: Object
) -> JobDecision:
    """Decide by what is there. `before` is the last status of the job. Does not wait."""
    job = context.plan.stream_job
    if job is None:
        return JobDecision(JobState(), JobHealth(True, "NONE", stopped=True, reason="NotNeeded"))
    if context.uses_flink_operator:
        return _with_operator(context, cache, key, job, before)
    return _standalone(context, cache, key, job, memory, rest, before)


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
        health = health if health.ready else replace(health, message=f"{text}; {health.message}")
    elif before.get("message"):
        status["message"] = before["message"]
    state = JobState(running=not context.plan.suspended, stateless=reset)
    # The upgrade without state is over: the next pass, which nothing else calls for, asks for savepoints again.
    return JobDecision(state, health, status, again=0.5 if settled else None)


def job_address(context: Context) -> str:
    """The JobManager's REST address."""
    service = child_name(context.name, JOB_MANAGER)
    return context.settings.flink.rest_url.format(service=service, namespace=context.namespace, port=FLINK_REST_PORT)


def _standalone(
    context: Context, cache: Cache, key: Key, job: StreamJob, memory: Memory, rest: FlinkRest, before: Object
) -> JobDecision:
    live = cache.child(key, "Deployment", child_name(context.name, JOB_MANAGER))
    wanted = not context.plan.suspended
    runs = live is not None and live["spec"].get("replicas", 1) > 0
    status = {"mode": "standalone"} | {k: v for k, v in before.items() if k in _KEPT}
    if not runs or live is None:
        return _start(job, wanted, status)
    same = wanted and live["metadata"].get("annotations", {}).get(JOB) == job_hash(context, job)
    if same and not _has_ended(live, memory):
        return _keep(context, cache, key, job, live, memory, rest, status)
    return _stop(context, job, live, cache.pods(key), wanted, memory, rest, status)


def _has_ended(live: Object, memory: Memory) -> bool:
    """Whether the job of this Deployment ended or is made to: by a change that was taken back, or by somebody else."""
    mark = _mark(live)
    view = memory.job.result(mark)
    stopping = memory.stop.running or memory.stop.result(mark) is not None
    return stopping or (view is not None and view.state in _ENDED)


def _mark(live: Object) -> str:
    return f"{live['metadata']['uid']}/{live['metadata'].get('generation')}"


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
            f"the job's Pods do not mount what {savepoint} is on any more, so it starts without its old state, from "
            "the beginning of its topics"
        )
        savepoint = None
    status |= {"state": "CREATED", "plan": plan}
    if savepoint is None:
        status.pop("savepoint", None)
        status.pop("claim", None)
    health = JobHealth(
        False, "CREATED", reason="Starting", message=f"from {savepoint or 'the beginning of its topics'}"
    )
    return JobDecision(JobState(running=True, savepoint=savepoint, start=start), health, status)


def _keep(
    context: Context,
    cache: Cache,
    key: Key,
    job: StreamJob,
    live: Object,
    memory: Memory,
    rest: FlinkRest,
    status: Object,
) -> JobDecision:
    """It runs as it should; ask Flink how it is."""
    pods = cache.pods(key)
    workers = cache.child(key, "Deployment", child_name(context.name, TASK_MANAGER))
    parts = merged(
        job.name,
        [
            deployment_state(JOB_MANAGER, 1, live, pods),
            deployment_state(TASK_MANAGER, job.parallelism, workers, pods),
        ],
    )
    health, again = _health(context, memory, rest, parts.is_ready, live), None
    if not parts.is_ready and parts.faults:
        health = replace(health, fault=parts.faults[0], reason=parts.faults[0].reason, message=parts.faults[0].message)
    elif parts.is_ready and not health.ready:
        again = 2.0
    state = JobState(running=True, savepoint=started_from(live), start=start_of(live))
    pending = parts.is_ready and health.state == "SUBMITTING"
    status |= {"state": health.state, "plan": plan_hash(job)}
    return JobDecision(state, health, status, again=again, pending=pending)


def _health(context: Context, memory: Memory, rest: FlinkRest, ready: bool, live: Object) -> JobHealth:
    if not ready:
        return JobHealth(
            False, "INITIALIZING", reason="Progressing", message="JobManager and TaskManagers are starting"
        )
    mark = _mark(live)
    known = memory.job.result(mark)
    running = known is not None and known.state == "RUNNING"
    age = context.settings.reconcile.interval if running else 1.5
    memory.job.ask(mark, lambda: rest.job(job_address(context)), max_age=age)
    if (error := memory.job.error(mark)) is not None:
        return JobHealth(False, "UNKNOWN", reason="JobManagerUnreachable", message=str(error))
    if known is None:
        return JobHealth(False, "SUBMITTING", message="the job is being submitted")
    if known.state == "RUNNING":
        return JobHealth(True, "RUNNING", reason="Running")
    text = f"stream-job: {known.state}: {known.error or 'no reason given'}"
    if known.state in _FAILED:
        return JobHealth(False, known.state, reason="JobFailed", message=text, fault=Fault("JobFailed", text))
    return JobHealth(False, known.state, reason="Progressing", message=f"job {known.state}")


def _stop(
    context: Context,
    job: StreamJob,
    live: Object,
    pods: list[Object],
    wanted: bool,
    memory: Memory,
    rest: FlinkRest,
    status: Object,
) -> JobDecision:
    """It runs and shall end, for good or to be started anew: first the savepoint, and until then all stays as it is."""
    mark, (directory, why_not) = _mark(live), savepoint_target(live, pods)
    if directory is None:
        ended: Stopped | None = Stopped(None, f"stopped without a savepoint ({why_not})")
        if is_local(savepoint_directory(live) or "") and checkpoint_claim(live) is None:
            status.pop("savepoint", None)
    else:
        memory.stop.ask(mark, lambda: stop_job(rest, context, directory))
        ended = memory.stop.result(mark)
    if ended is None:
        why = "to be started anew" if wanted else "to be suspended"
        message = f"stopping with a savepoint, {why}"
        if (error := memory.stop.error(mark)) is not None:
            message += f": {error}"
        frozen = frozenset({("Deployment", child_name(context.name, part)) for part in (JOB_MANAGER, TASK_MANAGER)})
        health = JobHealth(False, "STOPPING", reason="Upgrading" if wanted else "Suspending", message=message)
        state = JobState(running=True, savepoint=started_from(live), start=start_of(live))
        return JobDecision(state, health, status | {"state": "STOPPING"}, frozen=frozen)
    message = ended.message
    if ended.savepoint:
        status["savepoint"] = ended.savepoint
        status.pop("claim", None)
        if is_local(ended.savepoint) and (claim := checkpoint_claim(live)):
            status["claim"] = claim
    elif wanted:
        before = status.get("savepoint")
        message += f"; it goes on from {before}" if before else "; it starts from the beginning of its topics"
    status["message"] = message
    decision = _start(job, wanted, status, start=str(live["metadata"].get("generation")))
    return replace(decision, events=(("JobStopped", message),))


def savepoint_target(manager: Object, pods: list[Object]) -> tuple[str | None, str]:
    """Where the job of a JobManager can leave a savepoint that outlives its Pods; None, and why, where it cannot."""
    directory = savepoint_directory(manager)
    if directory is None or (is_local(directory) and checkpoint_claim(manager) is None):
        return None, "its checkpoints are in no claim and gone with its Pods; see processing.checkpointClaim"
    mine = (pod for pod in pods if pod["metadata"].get("labels", {}).get(PROCESS) == JOB_MANAGER)
    if not any(_runs(pod) for pod in mine):
        return None, "its JobManager does not run"
    return directory, ""


def _runs(pod: Object) -> bool:
    status = pod.get("status", {})
    waiting = any("waiting" in container.get("state", {}) for container in status.get("containerStatuses", []))
    return status.get("phase") == "Running" and not waiting


async def stop_job(rest: FlinkRest, context: Context, directory: str) -> Stopped:
    """Stop the job with a savepoint below `directory`, within the time that the settings give.

    A job that ended that way before the operator could note it is found by its last savepoint; one that cannot make
    one goes on from its newest checkpoint.
    """
    address, limit = job_address(context), context.settings.flink.savepoint_timeout
    deadline = latest = time.monotonic() + limit
    trigger: tuple[str, str] | None = None
    view: JobView | None = None
    ended_at: float | None = None
    stuck_at: float | None = None
    last = "the JobManager did not answer"
    while time.monotonic() < deadline:
        try:
            if trigger is not None:
                taken = await rest.savepoint(address, *trigger)
                if taken.done and taken.location:
                    return Stopped(taken.location, f"stopped with savepoint {taken.location}")
                if taken.done:
                    last, trigger = taken.error or "no reason given", None
            view = await rest.job(address)
            if view is None:
                return Stopped(None, "stopped before its job had begun")
            if view.state in _ENDED:
                if view.savepoint:
                    return Stopped(view.savepoint, f"stopped with savepoint {view.savepoint}")
                last = f"the job is {view.state} and tells of no savepoint"
                ended_at = ended_at or time.monotonic()
                deadline = min(deadline, ended_at + _TOLD_SECONDS)
            elif trigger is None and view.state == "RUNNING":
                stuck_at, deadline = None, latest
                trigger = (view.id, await rest.stop(address, view.id, directory))
            elif trigger is None:
                last = f"the job is {view.state}: {view.error or 'no reason given'}"
                if view.state == "FAILED":
                    break
                stuck_at = stuck_at or time.monotonic()
                deadline = min(deadline, stuck_at + _STUCK_SECONDS)
        except RetryableError as error:
            last = str(error)
        await asyncio.sleep(_POLL_SECONDS)
    place = view.checkpoint if view else None
    return Stopped(place, f"stopped without a savepoint ({last})" + (f"; newest checkpoint {place}" if place else ""))
