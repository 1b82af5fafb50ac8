"""A pipeline as text for people: what it is, what is wrong, what to do, and what happened last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from marketpipeline_operator.names import PAUSE, PROCESS, Object, switched_on
from marketpipeline_operator.plugin.access import Seen, conditions, time_of_event
from marketpipeline_operator.plugin.remedies import remedy_of

__all__ = ["age", "overview", "pod_rows", "status_text", "table"]

_EVENTS = 8
_CONFIRMS = frozenset({"Degraded", "Paused"})
"""Conditions that are bad news when they are True."""


def overview(pipelines: Sequence[Object], now: datetime) -> str:
    """A line a pipeline."""
    rows = [("NAME", "PHASE", "READY", "PROCESSES", "FLOWING", "SYMBOLS", "PROBLEM", "AGE")]
    for one in pipelines:
        status = one.get("status") or {}
        told = {entry["type"]: entry["status"] for entry in conditions(one)}
        texts = (_phase(one), told.get("Ready", "Unknown"), status.get("processes", "-"))
        more = (told.get("DataFlowing", "Unknown"), str(status.get("symbols", "-")), status.get("problem", "-"))
        rows.append((one["metadata"]["name"], *texts, *more, age(one["metadata"].get("creationTimestamp"), now)))
    return table(rows)


def status_text(seen: Seen, now: datetime) -> str:
    """Everything of one pipeline that fits on a screen."""
    parts = [_head(seen.pipeline, now), _troubles(seen.pipeline), _parts(seen.pipeline)]
    parts += [_conditions(seen.pipeline, now), _pods(seen.pods, now), _events(seen.events, now)]
    return "\n\n".join(part for part in parts if part)


def _phase(pipeline: Object) -> str:
    if pipeline["metadata"].get("deletionTimestamp"):
        return "Deleting"
    return str((pipeline.get("status") or {}).get("phase") or "New")


def _head(pipeline: Object, now: datetime) -> str:
    metadata, status = pipeline["metadata"], pipeline.get("status") or {}
    data, job = status.get("data", {}), status.get("job", {})
    rows = [("Pipeline", f"{metadata['namespace']}/{metadata['name']}, {age(metadata['creationTimestamp'], now)} old")]
    rows.append(("Phase", _phase(pipeline)))
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        rows.append(("Note", "the operator has not acted on the newest spec yet: is it running?"))
    if switched_on(pipeline, PAUSE):
        rows.append(("Note", f"reconciling is paused by the annotation {PAUSE}: nothing is changed or repaired"))
    if (rest := status.get("hibernation", {})).get("asleep"):
        rows.append(("Note", f"it is asleep by spec.hibernation until {rest.get('until', 'the spec says otherwise')}"))
    rows.append(("Symbols", str(status.get("symbols", len(pipeline["spec"].get("symbols", []))))))
    if data:
        rows.append(("Data", _data(data, now)))
    if job:
        rows.append(("Stream job", _job(job, now)))
    if address := status.get("addresses", {}).get("api"):
        rows.append(("API", address))
    return "\n".join(f"{name + ':':<12}{text}" for name, text in rows)


def _data(data: Object, now: datetime) -> str:
    newest = data.get("newestRecord")
    found = [f"newest frame of {newest}" if newest else "no frame seen yet"]
    found += [f"{data['lag']:,} records to store still"] if "lag" in data else []
    found += [f"{data['gapsLastHour']} gaps in the last hour"] if "gapsLastHour" in data else []
    return f"{', '.join(found)} (seen {age(data.get('observed'), now)} ago)"


def _job(job: Object, now: datetime) -> str:
    found = [str(job.get("state", "unknown"))]
    if time := job.get("checkpointTime"):
        found.append(f"newest checkpoint {age(time, now)} ago, {job.get('checkpointBytes', 0) / 1e6:.1f} MB")
    found += [job["message"]] if job.get("message") else []
    return ", ".join(found)


def _troubles(pipeline: Object) -> str:
    """Each thing that is wrong once, with what to do about it."""
    troubles: dict[tuple[str, str], None] = {}
    for one in conditions(pipeline):
        is_bad = one["status"] == ("True" if one["type"] in _CONFIRMS else "False")
        if is_bad and one["type"] != "Paused" and remedy_of(one["reason"]):
            troubles[one["reason"], one.get("message", "")] = None
    lines = []
    for reason, message in troubles:
        lines += [f"! {reason}: {message}", f"  {remedy_of(reason)}"]
    return "\n".join(lines)


def _parts(pipeline: Object) -> str:
    counts = (pipeline.get("status") or {}).get("components", [])
    return table([("PART", "READY"), *((one["name"], f"{one['ready']}/{one['desired']}") for one in counts)], counts)


def _conditions(pipeline: Object, now: datetime) -> str:
    rows = [("CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE")]
    for one in conditions(pipeline):
        since = age(one["lastTransitionTime"], now)
        rows.append((one["type"], one["status"], since, one["reason"], _short(one.get("message", ""))))
    return table(rows, rows[1:])


def _pods(pods: Sequence[Object], now: datetime) -> str:
    rows = pod_rows(pods, now)
    return table([("POD", "STATE", "RESTARTS", "NODE", "AGE"), *rows], rows)


def pod_rows(pods: Iterable[Object], now: datetime) -> list[tuple[str, ...]]:
    """Name, state in the kubelet's words, restarts, node and age of each Pod, by process."""
    rows: list[tuple[str, ...]] = []
    for pod in sorted(pods, key=lambda one: (one["metadata"]["labels"].get(PROCESS, ""), one["metadata"]["name"])):
        statuses = pod.get("status", {}).get("containerStatuses", [])
        restarts = sum(one.get("restartCount", 0) for one in statuses)
        node = pod["spec"].get("nodeName", "-")
        times = (str(restarts), node, age(pod["metadata"]["creationTimestamp"], now))
        rows.append((pod["metadata"]["name"], _state(pod, statuses), *times))
    return rows


def _state(pod: Object, statuses: Sequence[Object]) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    waiting = next((one["state"]["waiting"]["reason"] for one in statuses if "waiting" in one.get("state", {})), None)
    phase = str(pod.get("status", {}).get("phase", "Pending"))
    if waiting or phase != "Running":
        return waiting or phase
    return "Ready" if all(one.get("ready") for one in statuses) else "Running, not ready"


def _events(events: Sequence[Object], now: datetime) -> str:
    rows = []
    for event in events[-_EVENTS:]:
        about = event["involvedObject"]
        times = f" ×{event['count']}" if event.get("count", 1) > 1 else ""
        subject = f"{about.get('kind', '')}/{about.get('name', '')}"
        text = _short(event.get("message", "")) + times
        rows.append((age(time_of_event(event), now), event.get("type", ""), event.get("reason", ""), subject, text))
    return table([("LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"), *rows], rows)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 160 else f"{line[:157]}..."


def table(rows: Sequence[Sequence[str]], unless_empty: Sequence[object] | None = None) -> str:
    """Rows in columns as wide as they need to be, the first a head; nothing where `unless_empty` is empty."""
    if unless_empty is not None and not unless_empty:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def age(time: str | None, now: datetime) -> str:
    """Time since a time as Kubernetes writes it, as kubectl shows it: 45s, 12m, 3h, 2d."""
    if not time:
        return "-"
    seconds = max(0, int((now - datetime.fromisoformat(time).astimezone(UTC)).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
