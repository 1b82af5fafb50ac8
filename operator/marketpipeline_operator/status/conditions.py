"""Conditions: what holds of a pipeline, from what a pass found, with the time since when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from marketpipeline.plan import Component

from marketpipeline_operator.builders import Context, Process
from marketpipeline_operator.flink.kept_savepoints import SavepointsDecision
from marketpipeline_operator.flink.lifecycle import JobDecision
from marketpipeline_operator.names import Object
from marketpipeline_operator.observe.components import ComponentState, Fault
from marketpipeline_operator.observe.flow import DataState
from marketpipeline_operator.observe.selection import SelectionState
from marketpipeline_operator.observe.topics import TopicsState

__all__ = ["Condition", "Findings", "as_objects", "conditions_of", "faults_of", "find", "holds", "is_at_fault"]

_LONGEST = 2_000
_NOT_APPLIED = frozenset({"ApplyFailed", "FlinkOperatorMissing", "TopicOperatorMissing"})
"""Reasons of faults that mean: what runs is not what the spec says."""
_EXPECTED = frozenset(
    {
        "Creating",
        "Deleting",
        "Hibernating",
        "Progressing",
        "Starting",
        "Suspended",
        "Suspending",
        "Upgrading",
        "Waiting",
    }
)
"""Reasons for not being ready that are no fault."""
_SINKS = tuple(component for component in Component if component.is_sink)


@dataclass(frozen=True)
class Condition:
    """One aspect; `status` None is Unknown."""

    type: str
    status: bool | None
    reason: str
    message: str = ""


@dataclass(frozen=True)
class Findings:
    """What a pass found: processes by their state, topics, job, and what else is wrong.

    `held` says that workloads wait for their topics, `pending` that the broker, Flink or the API server did not answer
    yet: an operator that has just started says nothing then, and leaves what was said before. `asleep` is why a
    pipeline that hibernates does nothing, empty for all others.
    """

    components: Sequence[tuple[Process, ComponentState]]
    topics: TopicsState
    job: JobDecision
    faults: Sequence[Fault] = field(default_factory=tuple)
    secrets: Sequence[Object] = ()
    held: bool = False
    pending: bool = False
    data: DataState = field(default_factory=DataState)
    selection: SelectionState = field(default_factory=SelectionState)
    selection_status: Object = field(default_factory=dict)
    scaling: Sequence[Object] = ()
    savepoints: SavepointsDecision = field(default_factory=SavepointsDecision)
    maintenance: Object = field(default_factory=dict)
    asleep: str = ""
    hibernation: Object = field(default_factory=dict)


def conditions_of(context: Context, found: Findings) -> list[Condition]:
    """All of them, `Ready` first."""
    suspended = context.plan.suspended
    parts = [
        _topics(found.topics),
        _part("IngestionReady", found, (Component.INGESTION,), suspended),
        _processing(found.job),
        _part("SinksReady", found, _SINKS, suspended),
    ]
    api = _part("", found, (Component.API, Component.DASHBOARD), suspended)
    selected = _selected(found.selection)
    needed = selected if found.selection.never_known else []
    return [
        _ready([*needed, *parts, api], found, suspended),
        *selected,
        *parts,
        *_durable(context),
        _flowing(found.data, suspended),
        _degraded(faults_of(found)),
        Condition("Paused", False, "NotPaused"),
    ]


def faults_of(found: Findings) -> list[Fault]:
    """Everything that is wrong, each once, the most telling first."""
    faults = [*found.faults, *found.topics.faults]
    faults += [fault for _, state in found.components for fault in state.faults]
    if found.job.health.fault:
        faults.append(found.job.health.fault)
    return list(dict.fromkeys(faults))


def _topics(topics: TopicsState) -> Condition:
    wrong = next((f for f in topics.faults if f.reason not in ("PartitionsKept", "ThresholdsNotPublished")), None)
    kept = next((f for f in topics.faults if f.reason == "PartitionsKept"), None)
    if wrong:
        return Condition("TopicsReady", False, wrong.reason, wrong.message)
    if kept:
        return Condition("TopicsReady", topics.is_ready, kept.reason, kept.message)
    if topics.is_ready:
        return Condition("TopicsReady", True, "Created", f"{topics.ready} topics by {topics.provider}")
    if topics.known:
        return Condition("TopicsReady", True, "Created", f"{topics.desired} topics by {topics.provider}")
    return Condition("TopicsReady", False, "Creating", f"{topics.desired} topics by {topics.provider}")


def _selected(found: SelectionState) -> list[Condition]:
    """Whether the selectors stand for what the spec says; no condition of a pipeline without any."""
    if found.selection is None:
        return []
    if found.problems:
        return [Condition("SymbolsSelected", False, found.problems[0].reason, found.problems[0].message)]
    if found.pending:
        return [Condition("SymbolsSelected", not found.never_known, "Asking", "the exchanges are asked what they list")]
    counts = ", ".join(f"{text}: {count}" for text, count in found.selection.counts.items())
    return [Condition("SymbolsSelected", True, "Selected", counts)]


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
    what = "the exchange's list of symbols" if found.selection.never_known else "the topics"
    waiting = f"waiting for {what}: " if found.held else "waiting for "
    return Condition(kind, False, "Progressing", waiting + ", ".join(missing))


def _flowing(data: DataState, suspended: bool) -> Condition:
    """Whether the exchanges send and ingestion reads. It is told beside `Ready`: a market may be quiet."""
    if suspended:
        return Condition("DataFlowing", False, "Suspended")
    if data.flows is None:
        return Condition("DataFlowing", None, "NotSeen", "no process has read anything yet that was seen")
    if data.silent:
        return Condition("DataFlowing", False, "Silent", f"nothing is read any more by {', '.join(data.silent)}")
    return Condition("DataFlowing", True, "Flowing")


def _processing(job: JobDecision) -> Condition:
    health = job.health
    ready = health.ready or health.reason == "NotNeeded"
    return Condition("ProcessingReady", ready, health.reason, health.message)


def _durable(context: Context) -> list[Condition]:
    """Whether the job's state outlives its Pods; told beside `Ready`, of a pipeline that has a job."""
    job = context.plan.stream_job
    if job is None:
        return []
    place = context.pipeline.spec.processing.checkpoint_directory
    if job.settings["keeps_state"]:
        return [Condition("StateDurable", True, "Kept", f"the stream job keeps its state in {place}")]
    text = (
        f"{place} is gone with the Pods of the stream job: when it restarts, is suspended or loses one, it reads its "
        "topics again from their beginning, and what they no longer hold is lost to the candles that were open and to "
        "what statistics and alerts remember; set processing.checkpointDirectory to a bucket, or "
        "processing.checkpointClaim"
    )
    return [Condition("StateDurable", False, "NoDurableStorage", text)]


def _ready(parts: Sequence[Condition], found: Findings, suspended: bool) -> Condition:
    if found.asleep:
        return Condition("Ready", False, "Hibernating", found.asleep)
    if suspended:
        return Condition("Ready", False, "Suspended", "spec.suspend is true")
    if refused := next((fault for fault in found.faults if fault.reason in _NOT_APPLIED), None):
        return Condition("Ready", False, refused.reason, refused.message)
    wrong = next((part for part in parts if part.status is not True), None)
    if wrong is None:
        return Condition("Ready", True, "AllReady", "topics, ingestion, processing, sinks and API do their work")
    return Condition("Ready", False, wrong.reason, wrong.message)


def _degraded(faults: Sequence[Fault]) -> Condition:
    if not faults:
        return Condition("Degraded", False, "NoFault", "nothing is known to be wrong")
    return Condition("Degraded", True, faults[0].reason, "; ".join(fault.message for fault in faults[:5]))


def as_objects(wanted: Iterable[Condition], before: Sequence[Object], generation: int, now: str) -> list[Object]:
    """Conditions as the API has them; the time of one whose status did not change stays."""
    known = {entry["type"]: entry for entry in before}
    found = []
    for condition in wanted:
        status = "Unknown" if condition.status is None else str(condition.status)
        old = known.get(condition.type, {})
        found.append(
            {
                "type": condition.type,
                "status": status,
                "reason": condition.reason,
                "message": condition.message[:_LONGEST],
                "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == status else now,
                "observedGeneration": generation,
            }
        )
    return found


def find(pipeline: Object, kind: str) -> Object:
    """A condition of a pipeline's object, empty where it has none."""
    conditions = pipeline.get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == kind), {})


def holds(pipeline: Object, kind: str) -> bool:
    """Whether a condition of a pipeline's object is True."""
    return bool(find(pipeline, kind).get("status") == "True")


def is_at_fault(condition: Object) -> bool:
    """Whether a condition of a pipeline's object is not met for a reason that is neither wanted nor on its way."""
    return bool(condition) and condition["status"] == "False" and condition["reason"] not in _EXPECTED
