"""How the stream job is: from a FlinkDeployment's status, or from the JobManager's answer."""

from __future__ import annotations

from dataclasses import dataclass

from marketpipeline.errors import MarketPipelineError

from marketpipeline_operator.flink.rest import JobView
from marketpipeline_operator.names import Object
from marketpipeline_operator.observe.components import Fault

__all__ = ["JobHealth", "flink_deployment_health", "job_health"]

_FAILED = frozenset({"FAILED", "FAILING", "ROLLED_BACK"})
_FAILING = frozenset({"FAILED", "FAILING", "RESTARTING"})


@dataclass(frozen=True)
class JobHealth:
    """Whether the job does its work; `state` is Flink's word, `stopped` that nothing of it runs any more."""

    ready: bool
    state: str
    stopped: bool = False
    reason: str = "Progressing"
    message: str = ""
    fault: Fault | None = None


def job_health(known: JobView | None, error: MarketPipelineError | None) -> JobHealth:
    """Of a job of our own whose Pods are ready: `known` is the JobManager's answer, `error` why there is none."""
    if error is not None:
        return JobHealth(False, "UNKNOWN", reason="JobManagerUnreachable", message=str(error))
    if known is None:
        return JobHealth(False, "SUBMITTING", message="the job is being submitted")
    if known.state == "RUNNING":
        return JobHealth(True, "RUNNING", reason="Running")
    text = f"stream-job: {known.state}: {known.error or 'no reason given'}"
    if known.state in _FAILING:
        return JobHealth(False, known.state, reason="JobFailed", message=text, fault=Fault("JobFailed", text))
    return JobHealth(False, known.state, reason="Progressing", message=f"job {known.state}")


def flink_deployment_health(live: Object | None) -> JobHealth:
    """Read what Flink's operator reports: `lifecycleState`, `jobStatus.state`, `error`, `observedGeneration`."""
    if live is None:
        return JobHealth(False, "CREATED", reason="Creating", message="the FlinkDeployment is not there yet")
    status = live.get("status") or {}
    lifecycle = status.get("lifecycleState") or "CREATED"
    state = (status.get("jobStatus") or {}).get("state") or lifecycle
    current = status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0)
    error = status.get("error")
    if error or lifecycle in _FAILED or state in _FAILED:
        text = f"stream-job: {error or f'{lifecycle}, job {state}'}"
        return JobHealth(False, state, reason="JobFailed", message=text, fault=Fault("JobFailed", text))
    suspended = live["spec"]["job"]["state"] == "suspended"
    if lifecycle == "SUSPENDED" or (suspended and state in ("CANCELED", "FINISHED", "SUSPENDED")):
        text = "stopped; its newest checkpoint is kept"
        return JobHealth(False, "SUSPENDED", stopped=True, reason="Suspended", message=text)
    if suspended and status and current and not (status.get("jobStatus") or {}).get("state"):
        return JobHealth(False, "SUSPENDED", stopped=True, reason="Suspended", message="not started yet")
    if not status:
        return JobHealth(False, state, reason="Waiting", message="Flink's operator has not taken it up yet")
    if state == "RUNNING" and lifecycle in ("STABLE", "DEPLOYED") and current:
        return JobHealth(True, state, reason="Running")
    return JobHealth(False, state, reason="Progressing", message=f"{lifecycle}, job {state}")
