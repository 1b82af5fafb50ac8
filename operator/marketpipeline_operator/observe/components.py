"""How each component is, from its Deployments and Pods; the error of a child in the child's own words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from marketpipeline_operator.names import PROCESS, Object

__all__ = ["ComponentState", "Fault", "cron_job_fault", "deployment_state", "merged"]

_NONE: Mapping[str, str] = {}
_HARMLESS = frozenset({"ContainerCreating", "PodInitializing"})
_SAME = {"ErrImagePull": "ImagePullBackOff"}
"""The kubelet alternates between these two words for as long as the image is not there."""


@dataclass(frozen=True)
class Fault:
    """Something that is wrong: a reason for programs, a message for people."""

    reason: str
    message: str


@dataclass(frozen=True)
class ComponentState:
    """Processes of a component: how many should do their work, how many do, and what is wrong with the others."""

    name: str
    desired: int
    ready: int
    faults: tuple[Fault, ...] = ()

    @property
    def is_ready(self) -> bool:
        return self.ready >= self.desired


def deployment_state(
    name: str, desired: int, live: Object | None, pods: Sequence[Object], degraded: Mapping[str, str] = _NONE
) -> ComponentState:
    """The state of one Deployment: only Pods of its newest version count, and of these only those that say they are
    well. `degraded` has by Pod uid what a process says is wrong with it.
    """
    if live is None:
        return ComponentState(name, desired, 0)
    process = live["metadata"]["labels"].get(PROCESS)
    own = [pod for pod in pods if pod["metadata"].get("labels", {}).get(PROCESS) == process]
    words = [degraded.get(pod["metadata"].get("uid", "")) for pod in own]
    unwell = [Fault("ProcessDegraded", f"{name}: {text}") for text in words if text and desired]
    ready = max(0, min(_ready_of_newest(live), desired) - len(unwell))
    faults = [fault for pod in own for fault in _pod_faults(name, pod)] if ready < desired else []
    faults += [*unwell, *_deployment_faults(name, live.get("status", {}))]
    return ComponentState(name, desired, ready, tuple(dict.fromkeys(faults)))


def _ready_of_newest(live: Object) -> int:
    """Ready Pods of the newest version, at least: of the ready ones as many may be old as there are old ones."""
    status: dict[str, int] = live.get("status", {})
    if status.get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return 0
    ready, updated = status.get("readyReplicas", 0), status.get("updatedReplicas", 0)
    old = max(status.get("replicas", 0), ready) - updated
    return max(0, min(ready - max(old, 0), updated))


def cron_job_fault(name: str, live: Object | None) -> Fault | None:
    """That the last run of a scheduled job failed: it began, has ended, and no success came after it."""
    if live is None or live["spec"].get("suspend"):
        return None
    status = live.get("status", {})
    began, succeeded = status.get("lastScheduleTime"), status.get("lastSuccessfulTime", "")
    if not began or status.get("active") or succeeded >= began:
        return None
    text = f"{name}: the run of {began} failed; see kubectl logs --selector={PROCESS}={name}"
    return Fault("ScheduledJobFailed", text)


def merged(name: str, states: Iterable[ComponentState]) -> ComponentState:
    """Several Deployments as one component."""
    parts = list(states)
    faults = tuple(dict.fromkeys(fault for part in parts for fault in part.faults))
    return ComponentState(name, sum(p.desired for p in parts), sum(p.ready for p in parts), faults)


def _deployment_faults(name: str, status: Object) -> Iterable[Fault]:
    for condition in status.get("conditions", []):
        failed = condition["type"] == "ReplicaFailure" and condition["status"] == "True"
        stuck = condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded"
        if failed or stuck:
            yield Fault(condition.get("reason", condition["type"]), f"{name}: {condition.get('message', '')}")


def _pod_faults(name: str, pod: Object) -> Iterable[Fault]:
    status = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") == "Succeeded":
        return
    placed = status.get("phase") == "Running" or status.get("containerStatuses")
    for condition in [] if placed else status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            yield Fault("Unschedulable", f"{name}: {condition.get('message', '')}")
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") and waiting["reason"] not in _HARMLESS:
            words = " ".join(filter(None, (waiting.get("message", ""), _last_end(container))))
            yield Fault(_SAME.get(waiting["reason"], waiting["reason"]), f"{name}: {words or waiting['reason']}")


def _last_end(container: Object) -> str:
    """How a container that crashed ended the last time."""
    ended = container.get("lastState", {}).get("terminated")
    if not ended:
        return ""
    return f"(ended with {ended.get('exitCode')} {ended.get('reason', '')}: {ended.get('message', '')})".replace(
        ": )", ")"
    )
