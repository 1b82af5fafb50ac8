"""Stopping a job of the operator's own with a savepoint, which the next start of the job finds by itself."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from marketpipeline.errors import RetryableError

from marketpipeline_operator.builders import Context
from marketpipeline_operator.builders.flink_deployment import FLINK_DEPLOYMENT
from marketpipeline_operator.builders.network import FLINK_REST_PORT
from marketpipeline_operator.builders.standalone import JOB_MANAGER, keeps_state
from marketpipeline_operator.flink.rest import FlinkRest, JobView
from marketpipeline_operator.names import PROCESS, Object, child_name

__all__ = ["ENDED", "Stopped", "job_address", "stop_job", "why_no_savepoint"]

ENDED = frozenset({"FINISHED", "CANCELED"})
"""States in which a job has ended in order."""
_POLL_SECONDS = 1.0
_SETTLE_SECONDS = 10.0
"""How long a job that has ended may take to report its savepoint: Flink answers from a copy up to three seconds old."""
_STUCK_SECONDS = 10.0
"""How long a job that is not running may take to run again before it is stopped without a savepoint."""


@dataclass(frozen=True)
class Stopped:
    """How a stream job ended: where its state is, and if it has none, why."""

    savepoint: str | None
    message: str


def job_address(context: Context) -> str:
    """The JobManager's REST address; of a FlinkDeployment, Flink's operator names the Service after it."""
    flink = f"{child_name(context.name, FLINK_DEPLOYMENT)}-rest"
    service = flink if context.uses_flink_operator else child_name(context.name, JOB_MANAGER)
    return context.settings.flink.rest_url.format(service=service, namespace=context.namespace, port=FLINK_REST_PORT)


def why_no_savepoint(manager: Object, pods: list[Object]) -> str:
    """Why the job of a JobManager can leave no savepoint that outlives its Pods; empty where it can."""
    if not keeps_state(manager):
        return "its checkpoints are in no claim and gone with its Pods; see processing.checkpointClaim"
    mine = (pod for pod in pods if pod["metadata"].get("labels", {}).get(PROCESS) == JOB_MANAGER)
    if not any(_runs(pod) for pod in mine):
        return "its JobManager does not run"
    return ""


def _runs(pod: Object) -> bool:
    status = pod.get("status", {})
    waiting = any("waiting" in container.get("state", {}) for container in status.get("containerStatuses", []))
    return status.get("phase") == "Running" and not waiting


async def stop_job(rest: FlinkRest, context: Context) -> Stopped:
    """Stop the job with a savepoint beside its checkpoints, within the time that the settings give.

    A job that ended that way before the operator could note it is found by its last savepoint; one that cannot make
    one leaves its newest checkpoint.
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
                return Stopped(None, "stopped before its job had started")
            if view.state in ENDED:
                if view.savepoint:
                    return Stopped(view.savepoint, f"stopped with savepoint {view.savepoint}")
                last = f"the job is {view.state} and reports no savepoint"
                ended_at = ended_at or time.monotonic()
                deadline = min(deadline, ended_at + _SETTLE_SECONDS)
            elif trigger is None and view.state == "RUNNING":
                stuck_at, deadline = None, latest
                trigger = (view.id, await rest.stop(address, view.id, view.directory))
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
