"""A change of ingestion reaches one process after another: the next is written when the last one is in sync.

A Deployment of ingestion replaces a Pod only by one that is in sync, so a change that does not work stops at the first
process, whose old Pod goes on, and all others run as before. What does not run as it should is written at once: there
is nothing to lose, and so a spec that takes a bad change back has its way. Where the number of processes changes,
symbols move: new ones read them before the others let go, and those that go stay until the others read theirs, unless
they do not run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from marketpipeline.plan import Component

from marketpipeline_operator.builders import Process
from marketpipeline_operator.cluster.cache import Child
from marketpipeline_operator.names import COMPONENT, PROCESS, Object
from marketpipeline_operator.observe.components import ComponentState, Fault
from marketpipeline_operator.reconcile.diff import Matched, is_as_wanted

__all__ = ["Rollout", "of_ingestion", "plan_rollout"]

Mark = tuple[str, str]


@dataclass(frozen=True)
class Rollout:
    """`held` are children, by kind and name, that are not written yet; `waiting` the processes that these belong to.
    `moving` are the processes that are waited for, and `staying` what there is meanwhile of those that run, which do
    not end before, wanted or not."""

    held: frozenset[Mark] = frozenset()
    waiting: tuple[str, ...] = ()
    moving: tuple[str, ...] = ()
    staying: frozenset[Mark] = frozenset()

    def seen(self, state: ComponentState) -> ComponentState:
        """The state of a process with respect to what shall run: while it waits, that does not run yet."""
        return replace(state, ready=0) if state.name in self.waiting else state

    def faults(self, states: Sequence[ComponentState]) -> list[Fault]:
        """That it does not get on, and why; empty while it does."""
        found = []
        for state in states:
            if self.waiting and state.name in self.moving and state.faults:
                text = f"the change stops at {state.faults[0].message}; as before run {', '.join(self.waiting)}"
                found.append(Fault("RolloutHalted", text))
        return found


def plan_rollout(
    processes: Sequence[Process], wanted: Sequence[Object], there: Mapping[Mark, Child], matched: Matched
) -> Rollout:
    """What of the wanted children of ingestion has to wait, by what is there of them."""
    names = [process.name for process in processes if process.component is Component.INGESTION]
    ours = {thing["metadata"]["labels"].get(PROCESS): thing for thing in wanted if thing["kind"] == "Deployment"}
    moving, changed = [], []
    for name in names:
        thing = ours.get(name)
        live = there.get(("Deployment", thing["metadata"]["name"])) if thing else None
        if thing is not None and live is None and thing["spec"]["replicas"]:
            moving.append(name)
        if thing is None or live is None:
            continue
        body = live.body
        if 0 in (thing["spec"]["replicas"], body["spec"].get("replicas", 1)):
            continue
        if not _is_whole(body):
            moving.append(name)
        elif not is_as_wanted(thing, live, matched):
            changed.append(name)
    waiting = tuple(changed if moving else changed[1:])
    held = {(kind, ours[name]["metadata"]["name"]) for name in waiting for kind in ("Deployment", "ConfigMap")}
    found = Rollout(frozenset(held), waiting, tuple(moving or changed[:1]))
    return replace(found, staying=_reading(there)) if found.moving else found


def of_ingestion(there: Mapping[Mark, Child]) -> dict[Mark, Object]:
    """Everything that there is of ingestion, wanted or not."""
    bodies = {mark: child.body for mark, child in there.items()}
    own = Component.INGESTION.value
    return {mark: body for mark, body in bodies.items() if body["metadata"].get("labels", {}).get(COMPONENT) == own}


def _reading(there: Mapping[Mark, Child]) -> frozenset[Mark]:
    """What there is of the processes of ingestion that run, in sync or not: what they read would be read by nobody."""
    found = of_ingestion(there)
    names = {body["metadata"]["labels"].get(PROCESS) for body in found.values() if _runs(body)}
    return frozenset(mark for mark, body in found.items() if body["metadata"]["labels"].get(PROCESS) in names)


def _runs(thing: Object) -> bool:
    """Whether it is a Pod whose process has started and goes on."""
    containers = thing["status"].get("containerStatuses", []) if thing["kind"] == "Pod" else []
    return any(one.get("started") and "running" in one["state"] for one in containers)


def _is_whole(live: Object) -> bool:
    """Whether every Pod is of the newest version and ready, and no other is left."""
    status, wanted = live.get("status", {}), live["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return False
    counts = (status.get("replicas", 0), status.get("updatedReplicas", 0), status.get("readyReplicas", 0))
    return counts == (wanted, wanted, wanted)
