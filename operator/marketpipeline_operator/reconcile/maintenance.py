"""Restarts that can wait: for a changed Secret or another image, of what does its work, until a window is open.

What the spec itself asks for waits for nothing, and neither does a process that is broken: there a restart may mend
it, and the others of its pipeline wait. A step of scaling, or another symbol, is done at once with the images and
Secrets that are there.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from marketpipeline.schema import milliseconds
from marketpipeline.spec import MarketPipeline

from marketpipeline_operator.builders.context import sealed
from marketpipeline_operator.cluster.cache import Child
from marketpipeline_operator.flink.schedule import last_time, next_time
from marketpipeline_operator.names import JOB, RENDERED, SECRETS, SETTINGS, START, Object
from marketpipeline_operator.reconcile.diff import difference

__all__ = ["Windows", "can_wait", "split_deferred"]

Mark = tuple[str, str]
_WORKLOADS = frozenset({"Deployment", "FlinkDeployment"})
_SIZES = frozenset({"parallelism", "symbols", "thresholds"})
"""Settings that another number of processes changes, or that change nothing of a process that runs."""
_PARALLEL = "-Dparallelism.default="
_SPREAD = "topologySpreadConstraints"


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


def split_deferred(
    wanted: Sequence[Object], there: Mapping[Mark, Child], at_once: Collection[str] = ()
) -> tuple[list[Object], frozenset[Mark]]:
    """What is to be written now, and by kind and name the workloads of which something waits; of those that are named
    in `at_once` nothing does."""
    found, waiting = [], set()
    settings = {thing["metadata"]["name"]: thing for thing in wanted if thing["kind"] == "ConfigMap"}
    for thing in wanted:
        mark = (thing["kind"], thing["metadata"]["name"])
        live = there.get(mark) if mark[0] in _WORKLOADS and mark[1] not in at_once else None
        if live is not None and can_wait(thing, live.body):
            waiting.add(mark)
            continue
        resized = _resized(thing, live.body, settings, there) if live is not None else None
        if resized is not None:
            waiting.add(mark)
        found.append(resized or thing)
    return found, frozenset(waiting)


def _resized(
    wanted: Object, live: Object, settings: Mapping[str, Object], there: Mapping[Mark, Child]
) -> Object | None:
    """A Deployment with the images and Secrets that are there, where it differs by these and its size: by its
    replicas, symbols or parallel tasks. None where anything else is another."""
    if wanted["kind"] != "Deployment":
        return None
    held, marks = deepcopy(wanted), live["metadata"].get("annotations", {})
    if not _take_over(held["spec"], live["spec"]):
        return None
    own = held["metadata"]["annotations"]
    if JOB in own:  # of what runs: so the job is known to be another, and stopped with a savepoint when its time comes
        own[JOB] = marks.get(JOB)
    same = deepcopy(held)
    same["metadata"]["annotations"][RENDERED] = marks.get(RENDERED)
    _take_size(same["spec"], live["spec"], ignore_settings=_differ_in_size(wanted, settings, there))
    del own[RENDERED]
    return sealed(held) if difference(same, live) is None else None


def _take_size(spec: Object, live: Object, *, ignore_settings: bool) -> None:
    """Put what is there in the place of what is wanted, of all that follows from the size."""
    spec["replicas"] = live.get("replicas")
    pod, held = spec["template"], live["template"]
    if _SPREAD in pod["spec"]:  # by default there is none for a single Pod
        pod["spec"][_SPREAD] = held["spec"].get(_SPREAD)
    there = {each["name"]: each for each in held["spec"]["containers"]}
    for container in pod["spec"]["containers"]:
        arguments, now = container.get("args", []), there.get(container["name"], {}).get("args", [])
        if [each for each in arguments if not each.startswith(_PARALLEL)] == [
            a for a in now if not a.startswith(_PARALLEL)
        ]:
            container |= {"args": now} if now else {}
    own, marks = pod["metadata"]["annotations"], held["metadata"].get("annotations", {})
    if START in own:  # another parallelism is another start of the job
        own[START] = marks.get(START)
    if ignore_settings:
        own[SETTINGS] = marks.get(SETTINGS)


def _differ_in_size(thing: Object, settings: Mapping[str, Object], there: Mapping[Mark, Child]) -> bool:
    """Whether a process's settings are others than those that are there, and in nothing but what a size changes: so an
    image that is there understands them."""
    volumes = thing["spec"]["template"]["spec"]["volumes"]
    name = next(each["configMap"]["name"] for each in volumes if each["name"] == "settings")
    live = there.get(("ConfigMap", name))
    if live is None or name not in settings:
        return False
    wanted, now = settings[name]["data"], live.body.get("data", {})
    try:
        texts = [{file: json.loads(text) for file, text in each.items()} for each in (wanted, now)]
    except ValueError:
        return False  # somebody has put something else there
    bare = [{file: _without_size(each) for file, each in files.items()} for files in texts]
    return wanted != now and bare[0] == bare[1]


def _without_size(settings: Any) -> Any:
    named = isinstance(settings, dict)
    return {name: value for name, value in settings.items() if name not in _SIZES} if named else settings


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
    marks |= {SECRETS: there[SECRETS]} if SECRETS in there else {}
    for kind in ("initContainers", "containers"):
        images = {each["name"]: each.get("image") for each in held.get("spec", {}).get(kind, [])}
        for container in template.get("spec", {}).get(kind, []):
            if "image" in container and container["name"] in images:
                changed |= container["image"] != images[container["name"]]
                container["image"] = images[container["name"]]
    return bool(changed)
