"""Savepoints that are kept: taken when somebody asks or at set times, and removed by number and age.

Flink itself takes and removes them, over the JobManager's REST port, whoever runs it; the operator needs no way to
the place where they are. Which there are a job says when it starts, for it has looked; since then they are in the
status. A status that was lost is therefore whole again with the next start of the job.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from marketpipeline.errors import RetryableError
from marketpipeline.schema import retention_milliseconds

from marketpipeline_operator.builders import Context
from marketpipeline_operator.flink.rest import FlinkRest, JobView
from marketpipeline_operator.flink.savepoint import job_address
from marketpipeline_operator.flink.schedule import last_time, next_time
from marketpipeline_operator.names import SAVEPOINT, Object
from marketpipeline_operator.observe.background import BackgroundTask
from marketpipeline_operator.observe.components import Fault

__all__ = [
    "SavepointTasks",
    "SavepointsDecision",
    "decide_savepoints",
    "remove_savepoint",
    "take_savepoint",
]

FOLDER = "savepoints"
"""Below the folder of the job's state; the job tells these from what a stop leaves by it."""
_POLL_SECONDS = 0.5
_ABSENT = ("FileNotFoundException", "Cannot find checkpoint or savepoint")
_FOUND, _REQUESTED, _SCHEDULED = "Found", "Requested", "Scheduled"


@dataclass
class SavepointTasks:
    """One that is being taken, and one that is being removed."""

    take: BackgroundTask[str]
    remove: BackgroundTask[bool]

    def close(self) -> None:
        """Stop what is under way."""
        self.take.close()
        self.remove.close()


@dataclass(frozen=True)
class SavepointsDecision:
    """What the status says of them, what happened, what is wrong, and the seconds until there is something to do."""

    status: Object = field(default_factory=dict)
    events: tuple[tuple[str, str], ...] = ()
    faults: tuple[Fault, ...] = ()
    again: float | None = None


def decide_savepoints(
    context: Context,
    pipeline: Object,
    view: JobView | None,
    tasks: SavepointTasks,
    rest: FlinkRest,
    now: datetime,
) -> SavepointsDecision:
    """Take what is due and remove what is too much of a job that runs (`view`). Does not wait."""
    before: Object = (pipeline.get("status") or {}).get("savepoints") or {}
    spec = context.pipeline.spec.processing.savepoints
    status = dict(before)
    if spec.schedule and "scheduled" not in status:
        status["scheduled"] = _text(now)  # a schedule begins with its first time, not with the last that has passed
    if view is None or view.directory is None:
        return SavepointsDecision(status, again=_wait(spec.schedule, now))
    kept = _known(view, status)
    status |= {"job": view.id}
    due = _due(pipeline, spec.schedule, status, now)
    events: tuple[tuple[str, str], ...] = ()
    faults: tuple[Fault, ...] = ()
    if due is not None:
        cause, mark = due
        limit = context.settings.flink.savepoint_timeout
        tasks.take.ask(mark, lambda: take_savepoint(rest, job_address(context), view, limit))
        if location := tasks.take.result(mark):
            others = [entry for entry in kept if _plain(entry["location"]) != _plain(location)]
            kept = [{"location": location, "time": _text(now), "cause": cause}, *others]
            status |= {"request": mark.partition("/")[2]} if cause == _REQUESTED else {"scheduled": _text(now)}
            events = (("SavepointTaken", f"took the savepoint {location} ({cause.lower()})"),)
        elif error := tasks.take.error(mark):
            faults = (Fault("SavepointFailed", f"no savepoint could be taken: {error}"),)
    if view.completed_at is not None:  # until then the job may need what it was restored from
        kept, gone = _remove_excess(context, kept, tasks.remove, rest, now)
        events += gone
    status["kept"] = kept
    return SavepointsDecision(status, events, faults, _wait(spec.schedule, now))


def _known(view: JobView, status: Object) -> list[Object]:
    """Those that there are, the newest first: what a new job has found, else what was known."""
    before: list[Object] = list(status.get("kept", []))
    if view.id == status.get("job") or view.savepoints is None:
        return before
    known = {_plain(entry["location"]): entry for entry in before}
    found = []
    for location, moment in view.savepoints:
        new = {"location": location, "time": _text(datetime.fromtimestamp(moment / 1000, UTC)), "cause": _FOUND}
        found.append(known.get(_plain(location), new))
    return found


def _due(pipeline: Object, schedule: str | None, status: Object, now: datetime) -> tuple[str, str] | None:
    """Why one is due, and a mark of it that is the same until it is taken."""
    request = str((pipeline["metadata"].get("annotations") or {}).get(SAVEPOINT, "")).strip()
    if request and request != status.get("request"):
        return _REQUESTED, f"request/{request}"
    last = last_time(schedule, now) if schedule else None
    if last is not None and last > datetime.fromisoformat(status["scheduled"]):
        return _SCHEDULED, f"schedule/{_text(last)}"
    return None


def _remove_excess(
    context: Context, kept: Sequence[Object], task: BackgroundTask[bool], rest: FlinkRest, now: datetime
) -> tuple[list[Object], tuple[tuple[str, str], ...]]:
    """Remove one that is too many or too old; what is left, and what to say of it."""
    processing = context.pipeline.spec.processing
    age = retention_milliseconds(processing.savepoints.max_age)
    oldest = _text(now - timedelta(milliseconds=age)) if age is not None else ""
    left = sorted(kept, key=lambda entry: str(entry["time"]), reverse=True)
    excess = left[processing.savepoints.keep :] or [entry for entry in left[1:] if entry["time"] < oldest]
    named = _plain(processing.initial_savepoint or "")
    excess = [entry for entry in excess if _plain(entry["location"]) != named]
    if not excess:
        return left, ()
    location = excess[-1]["location"]
    task.ask(location, lambda: remove_savepoint(rest, job_address(context), location))
    if not task.result(location):
        return left, ()
    text = f"removed the savepoint {location} of {excess[-1]['time']}"
    return [entry for entry in left if entry is not excess[-1]], (("SavepointRemoved", text),)


async def take_savepoint(rest: FlinkRest, address: str, view: JobView, limit: float) -> str:
    """Take one of a job that runs on, within `limit` seconds; its place. Raises RetryableError with Flink's reason."""
    trigger, deadline = await rest.take(address, view.id, f"{view.directory}/{FOLDER}"), time.monotonic() + limit
    while time.monotonic() < deadline:
        taken = await rest.savepoint(address, view.id, trigger)
        if taken.done and taken.location:
            return taken.location
        if taken.done:
            raise RetryableError(taken.error or "Flink gives no reason")
        await asyncio.sleep(_POLL_SECONDS)
    raise RetryableError(f"it was not complete within {limit:g} s")


async def remove_savepoint(rest: FlinkRest, address: str, location: str) -> bool:
    """True when it is gone. Raises RetryableError with Flink's reason."""
    error = await rest.dispose(address, location)
    if error and not any(words in error for words in _ABSENT):
        raise RetryableError(f"{location} could not be removed: {error}")
    return True


def _wait(schedule: str | None, now: datetime) -> float | None:
    following = next_time(schedule, now) if schedule else None
    return None if following is None else (following - now).total_seconds() + 0.1


def _plain(location: str) -> str:
    """Flink writes a local URI with one slash or three."""
    return location.replace("file:///", "file:/")


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
