"""Restarts that can wait: for a changed Secret or another image, of what does its work, until a window is open.

What the spec itself asks for waits for nothing, and neither does what is not Ready: there a restart may mend it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta

from marketpipeline.schema import milliseconds
from marketpipeline.spec import MarketPipeline

from marketpipeline_operator.cluster.cache import Child
from marketpipeline_operator.flink.schedule import last_time, next_time
from marketpipeline_operator.names import JOB, RENDERED, SECRETS, Object
from marketpipeline_operator.reconcile.diff import difference

__all__ = ["Windows", "can_wait", "deferred"]

Mark = tuple[str, str]
_WORKLOADS = frozenset({"Deployment", "FlinkDeployment"})


@dataclass(frozen=True)
class Windows:
    """When restarts may be done; `opens` is when the next one begins, None while one is open or there are none."""

    opens: datetime | None = None

    @classmethod
    def of(cls, pipeline: MarketPipeline, now: datetime) -> Windows:
        """At this moment."""
        starts = []
        for window in pipeline.spec.maintenance.windows:
            began = last_time(window.schedule, now)
            if began is not None and now < began + timedelta(milliseconds=milliseconds(window.duration)):
                return cls()
            if (begins := next_time(window.schedule, now)) is not None:
                starts.append(begins)
        return cls(min(starts, default=None))


def deferred(wanted: Sequence[Object], there: Mapping[Mark, Child]) -> frozenset[Mark]:
    """The workloads whose change can wait, by kind and name."""
    found = set()
    for thing in wanted:
        mark = (thing["kind"], thing["metadata"]["name"])
        if mark[0] in _WORKLOADS and (live := there.get(mark)) is not None and can_wait(thing, live.body):
            found.add(mark)
    return frozenset(found)


def can_wait(wanted: Object, live: Object) -> bool:
    """Whether a workload differs from what is there, and by nothing but its images and its mark of changed Secrets."""
    marks = live["metadata"].get("annotations", {})
    if wanted["metadata"].get("annotations", {}).get(RENDERED, "") == marks.get(RENDERED):
        return False
    same = deepcopy(wanted)
    same["metadata"].setdefault("annotations", {})[RENDERED] = marks.get(RENDERED)
    if JOB in same["metadata"]["annotations"]:
        same["metadata"]["annotations"][JOB] = marks.get(JOB)
    changed = _take_over(same["spec"], live["spec"])
    return changed and difference(same, live) is None


def _take_over(spec: Object, live: Object) -> bool:
    """Put what is there in the place of what is wanted, of images and Secrets; whether any of it differed."""
    changed = False
    if "image" in spec:
        changed |= spec["image"] != live.get("image")
        spec["image"] = live.get("image")
    template, held = (each.get("template") or each.get("podTemplate") or {} for each in (spec, live))
    marks = template.get("metadata", {}).get("annotations", {})
    there = held.get("metadata", {}).get("annotations", {})
    changed |= marks.get(SECRETS) != there.get(SECRETS)
    marks.pop(SECRETS, None)
    for kind in ("initContainers", "containers"):
        images = {each["name"]: each.get("image") for each in held.get("spec", {}).get(kind, [])}
        for container in template.get("spec", {}).get(kind, []):
            if "image" in container and container["name"] in images:
                changed |= container["image"] != images[container["name"]]
                container["image"] = images[container["name"]]
    return bool(changed)
