"""How each component is, from its Deployments and Pods; the error of a child in the child's own words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from marketpipeline_operator.names import PROCESS, Object

__all__ = ["ComponentState", "Fault", "deployment_state", "merged"]

_HARMLESS = frozenset({"ContainerCreating", "PodInitializing"})


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


def deployment_state(name: str, desired: int, live: Object | None, pods: Sequence[Object]) -> ComponentState:
    """The state of one Deployment; what an older version of it still does is not counted."""
    if live is None:
        return ComponentState(name, desired, 0)
    status = live.get("status", {})
    current = status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0)
    ready = min(status.get("readyReplicas", 0), status.get("updatedReplicas", 0)) if current else 0
    process = live["metadata"]["labels"].get(PROCESS)
    own = [pod for pod in pods if pod["metadata"].get("labels", {}).get(PROCESS) == process]
    faults = [*_deployment_faults(name, status)]
    if ready < desired:
        faults += [fault for pod in own for fault in _pod_faults(name, pod)]
    return ComponentState(name, desired, min(ready, desired), tuple(dict.fromkeys(faults)))


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
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            yield Fault("Unschedulable", f"{name}: {condition.get('message', '')}")
    for container in status.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") and waiting["reason"] not in _HARMLESS:
            words = " ".join(filter(None, (waiting.get("message", ""), _last_end(container))))
            yield Fault(waiting["reason"], f"{name}: {words or waiting['reason']}")


def _last_end(container: Object) -> str:
    """How a container that crashed ended the last time."""
    ended = container.get("lastState", {}).get("terminated")
    if not ended:
        return ""
    return f"(ended with {ended.get('exitCode')} {ended.get('reason', '')}: {ended.get('message', '')})".replace(
        ": )", ")"
    )
