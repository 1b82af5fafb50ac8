"""The status of a pipeline, from all that a pass found out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from marketpipeline.plan import Component

from marketpipeline_operator.builders import Context, Process, api_address
from marketpipeline_operator.names import COMPONENT, PIPELINE, Object
from marketpipeline_operator.reconcile.broker import BrokerState
from marketpipeline_operator.reconcile.job import JobDecision
from marketpipeline_operator.status.components import ComponentState, Fault
from marketpipeline_operator.status.conditions import Condition, as_objects

__all__ = ["Findings", "report", "report_halted"]

_SINKS = (Component.SINK_TIMESCALE, Component.SINK_REDIS)


@dataclass(frozen=True)
class Findings:
    """What a pass found: processes by their state, broker, job, and what else is wrong.

    `held` says that workloads wait for their topics, `pending` that somebody who was asked has not answered yet: an
    operator that has just started says nothing then, and leaves what was said before.
    """

    components: Sequence[tuple[Process, ComponentState]]
    broker: BrokerState
    job: JobDecision
    faults: Sequence[Fault] = field(default_factory=tuple)
    held: bool = False
    pending: bool = False


def report(context: Context, pipeline: Object, found: Findings, now: str) -> Object:
    """The whole status."""
    before, generation = pipeline.get("status") or {}, pipeline["metadata"]["generation"]
    suspended = context.plan.suspended
    faults = _faults(context, found)
    parts = [
        _topics(found.broker),
        _part("IngestionReady", found, (Component.INGESTION,), suspended),
        _processing(found.job),
        _part("SinksReady", found, _SINKS, suspended),
    ]
    api = _part("", found, (Component.API,), suspended)
    ready = _ready([*parts, api], suspended)
    conditions = [ready, *parts, _degraded(faults), Condition("Paused", False, "NotPaused")]
    stopped = found.job.health.stopped and all(state.ready == 0 for _, state in found.components)
    status: Object = {
        "observedGeneration": generation,
        "phase": _phase(ready, faults, suspended, stopped, before),
        "symbols": len(context.pipeline.spec.symbols),
        "conditions": as_objects(conditions, before.get("conditions", []), generation, now),
        "components": _counts(found, context),
        "topics": _topic_status(found.broker),
        "ingestion": {
            "replicas": sum(p.component is Component.INGESTION for p, _ in found.components),
            "selector": f"{PIPELINE}={context.name},{COMPONENT}={Component.INGESTION.value}",
        },
    }
    if found.job.status:
        status["job"] = found.job.status
    if address := api_address(context):
        status["addresses"] = {"api": address}
    return status | _last_error(faults, before, now)


def report_halted(pipeline: Object, phase: str, condition: Condition, now: str) -> Object:
    """The status where nothing is done: paused, invalid, or in conflict. What is known of the parts stays."""
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
    faults = [Fault(condition.reason, condition.message)] if condition.type == "Degraded" else []
    return status | _last_error(faults, before, now)


def _faults(context: Context, found: Findings) -> list[Fault]:
    faults = [*found.faults, *found.broker.faults]
    faults += [fault for _, state in found.components for fault in state.faults]
    if found.job.health.fault:
        faults.append(found.job.health.fault)
    return list(dict.fromkeys(faults))


def _topics(broker: BrokerState) -> Condition:
    wrong = next((f for f in broker.faults if f.reason not in ("PartitionsKept", "ThresholdsNotPublished")), None)
    kept = next((f for f in broker.faults if f.reason == "PartitionsKept"), None)
    if wrong:
        return Condition("TopicsReady", False, wrong.reason, wrong.message)
    if kept:
        return Condition("TopicsReady", broker.is_ready, kept.reason, kept.message)
    if broker.is_ready:
        return Condition("TopicsReady", True, "Created", f"{broker.ready} topics by {broker.provider}")
    if broker.known:
        return Condition("TopicsReady", True, "Created", f"{broker.desired} topics by {broker.provider}")
    return Condition("TopicsReady", False, "Creating", f"{broker.desired} topics by {broker.provider}")


def _part(kind: str, found: Findings, components: Sequence[Component], suspended: bool) -> Condition:
    states = [state for process, state in found.components if process.component in components]
    if not states:
        return Condition(kind, True, "NotNeeded")
    if suspended:
        return Condition(kind, False, "Suspended")
    fault = next((fault for state in states for fault in state.faults), None)
    missing = [f"{state.name} {state.ready}/{state.desired}" for state in states if not state.is_ready]
    if not missing:
        return Condition(kind, True, "Ready", ", ".join(f"{s.name} {s.ready}/{s.desired}" for s in states))
    if fault:
        return Condition(kind, False, fault.reason, fault.message)
    waiting = "waiting for the topics: " if found.held else "waiting for "
    return Condition(kind, False, "Progressing", waiting + ", ".join(missing))


def _processing(job: JobDecision) -> Condition:
    health = job.health
    ready = health.ready or health.reason == "NotNeeded"
    message = job.status.get("message", "") if ready else health.message
    return Condition("ProcessingReady", ready, health.reason, message)


def _ready(parts: Sequence[Condition], suspended: bool) -> Condition:
    if suspended:
        return Condition("Ready", False, "Suspended", "spec.suspend is true")
    wrong = next((part for part in parts if part.status is not True), None)
    if wrong is None:
        return Condition("Ready", True, "AllReady", "topics, ingestion, processing, sinks and API do their work")
    return Condition("Ready", False, wrong.reason, wrong.message)


def _degraded(faults: Sequence[Fault]) -> Condition:
    if not faults:
        return Condition("Degraded", False, "AsExpected")
    return Condition("Degraded", True, faults[0].reason, "; ".join(fault.message for fault in faults[:5]))


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


def _topic_status(broker: BrokerState) -> Object:
    ready = broker.desired if broker.known and not broker.faults else broker.ready
    found = {"provider": broker.provider, "desired": broker.desired, "ready": ready}
    found |= {"applied": broker.applied} if broker.applied else {}
    return found | ({"thresholds": broker.thresholds} if broker.thresholds else {})


def _last_error(faults: Sequence[Fault], before: Object, now: str) -> Object:
    old = before.get("lastError")
    if faults and (old is None or old["message"] != faults[0].message):
        return {"lastError": {"time": now, "message": faults[0].message}}
    return {"lastError": old} if old else {}
