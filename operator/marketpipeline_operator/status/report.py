"""The status of a pipeline, from everything that a pass found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from marketpipeline.plan import Component

from marketpipeline_operator.builders import Context, address_of
from marketpipeline_operator.names import COMPONENT, PIPELINE, Object
from marketpipeline_operator.observe.components import Fault
from marketpipeline_operator.observe.topics import TopicsState
from marketpipeline_operator.status.conditions import Condition, Findings, as_objects, conditions_of, faults_of

__all__ = ["is_news", "report", "report_halted", "time_of"]

_NUMBERS_SECONDS = 60
"""Time between two writes of a status in which only numbers differ."""
_JOB_NUMBERS = ("checkpoint", "busy")


def report(context: Context, pipeline: Object, found: Findings, now: str) -> Object:
    """The status."""
    before, generation = pipeline.get("status") or {}, pipeline["metadata"]["generation"]
    faults, conditions = faults_of(found), conditions_of(context, found)
    stopped = found.job.health.stopped and all(state.ready == 0 for _, state in found.components)
    status: Object = {
        "observedGeneration": generation,
        "phase": _phase(conditions[0], faults, context.plan.suspended, stopped, before),
        "symbols": len(context.plan.symbols),
        "conditions": as_objects(conditions, before.get("conditions", []), generation, now),
        "components": _counts(found, context),
        "processes": _sum(_counts(found, context)),
        "topics": _topic_status(found.topics),
        "ingestion": {
            "replicas": sum(p.component is Component.INGESTION for p, _ in found.components),
            "selector": f"{PIPELINE}={context.name},{COMPONENT}={Component.INGESTION.value}",
        },
    }
    if data := _data(found, now) or before.get("data"):
        status["data"] = data
    if found.selection_status:
        status["selection"] = found.selection_status
    if found.secrets:
        status["secrets"] = list(found.secrets)
    if found.scaling:
        status["scaling"] = list(found.scaling)
    if found.job.status:
        status["job"] = found.job.status
    if found.maintenance:
        status["maintenance"] = found.maintenance
    if found.hibernation:
        status["hibernation"] = found.hibernation
    if found.savepoints.status:
        status["savepoints"] = found.savepoints.status
    addresses = {each.value: address_of(context, each) for each in (Component.API, Component.DASHBOARD)}
    if any(addresses.values()):
        status["addresses"] = {name: address for name, address in addresses.items() if address}
    return status | _problem(faults, before, now)


def report_halted(pipeline: Object, phase: str, condition: Condition, now: str) -> Object:
    """The status where nothing is done: paused, invalid, or in conflict. What is known of the components stays."""
    before, generation = pipeline.get("status") or {}, pipeline["metadata"]["generation"]
    mine = [condition]
    if condition.type == "Degraded":
        mine = [
            Condition("Ready", False, condition.reason, condition.message),
            condition,
            Condition("Paused", False, "NotPaused"),
        ]
    changed = {entry.type for entry in mine}
    old = [entry for entry in before.get("conditions", []) if entry["type"] not in changed]
    fresh = as_objects(mine, before.get("conditions", []), generation, now)
    status = before | {"phase": phase, "conditions": [*fresh, *old]}
    if condition.type != "Paused":
        status["observedGeneration"] = generation
        for name in ("problem", "lastError"):
            status.pop(name, None)
    faults = [Fault(condition.reason, condition.message)] if condition.type == "Degraded" else []
    return status | _problem(faults, before, now)


def _phase(ready: Condition, faults: Sequence[Fault], suspended: bool, stopped: bool, before: Object) -> str:
    if suspended:
        return "Suspended" if stopped else "Suspending"
    if faults:
        return "Degraded"
    if ready.status:
        return "Running"
    return "Progressing" if before.get("topics", {}).get("applied") else "Pending"


def _counts(found: Findings, context: Context) -> list[Object]:
    counts = [{"name": s.name, "desired": s.desired, "ready": s.ready} for _, s in found.components]
    if context.plan.stream_job is not None:
        running = int(found.job.state.running)
        name = context.plan.stream_job.name
        counts.append({"name": name, "desired": running, "ready": int(found.job.health.ready)})
    return counts


def _sum(counts: Sequence[Object]) -> str:
    """All of them, for the column."""
    return "/".join(str(sum(count[name] for count in counts)) for name in ("ready", "desired"))


def _data(found: Findings, now: str) -> Object:
    """What is known of the data, nothing where that is nothing."""
    data = found.data
    lag = {} if not data.lag else {"lag": sum(data.lag.values())}
    gaps = {} if data.gaps is None else {"gapsLastHour": data.gaps}
    newest = {} if data.newest is None else {"newestRecord": time_of(data.newest)}
    return {"observed": now, **newest, **gaps, **lag} if lag or gaps or newest else {}


def time_of(seconds: float) -> str:
    """Seconds since the epoch as Kubernetes writes a time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_news(status: Object, before: Object, now: str) -> bool:
    """Whether a status says something new; that numbers went on is news once a minute."""
    if status == before:
        return False
    seen = (before.get("data") or {}).get("observed")
    if seen is None or _seconds(now) - _seconds(seen) >= _NUMBERS_SECONDS:
        return True
    return _without_numbers(status) != _without_numbers(before)


def _without_numbers(status: Object) -> Object:
    job = {name: value for name, value in (status.get("job") or {}).items() if not name.startswith(_JOB_NUMBERS)}
    scaling = [entry | {"perProcess": None} for entry in status.get("scaling", [])]
    return {name: value for name, value in status.items() if name != "data"} | {"job": job, "scaling": scaling}


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _topic_status(topics: TopicsState) -> Object:
    ready = topics.desired if topics.known and not topics.faults else topics.ready
    found = {"provider": topics.provider, "desired": topics.desired, "ready": ready}
    found |= {"applied": topics.applied} if topics.applied else {}
    return found | ({"thresholds": topics.thresholds} if topics.thresholds else {})


def _problem(faults: Sequence[Fault], before: Object, now: str) -> Object:
    """The first fault, in one word and in its own; nothing of one that is over."""
    if not faults:
        return {}
    text, old = faults[0].message, before.get("lastError") or {}
    since = old["time"] if old.get("message") == text else now
    return {"problem": faults[0].reason, "lastError": {"time": since, "message": text}}
