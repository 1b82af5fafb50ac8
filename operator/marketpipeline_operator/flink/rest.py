"""A JobManager's REST port: which job runs, and stopping it with a savepoint."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
from marketpipeline.errors import RetryableError

__all__ = ["FlinkRest", "JobView", "Savepoint"]

_POLL_SECONDS = 0.5
_STARTING = frozenset({"CREATED", "INITIALIZING"})
"""States in which Flink answers a question for checkpoints with an internal error."""


@dataclass(frozen=True)
class JobView:
    """A job as Flink reports it: its newest savepoint and checkpoint that it completed, and why it failed last.

    `directory`, `origin`, `reason` and `savepoints` are what the job said when it started: where its state goes,
    whether it was restored, and why (or why not), and which savepoints are kept there, with their times in ms.
    """

    id: str
    state: str
    savepoint: str | None = None
    checkpoint: str | None = None
    error: str | None = None
    directory: str | None = None
    origin: str = ""
    reason: str = ""
    busy: float | None = None
    """Share of the last moments that its busiest task worked, on the mean over its subtasks."""
    savepoints: tuple[tuple[str, int], ...] | None = None
    completed_at: float | None = None
    completed_bytes: int | None = None
    """Of the newest checkpoint: when it was complete, in seconds since the epoch, and its size."""


@dataclass(frozen=True)
class Savepoint:
    """A savepoint being taken, or what became of it."""

    done: bool
    location: str | None = None
    error: str | None = None


class FlinkRest:
    """REST calls, each bounded to a few seconds. All raise RetryableError when Flink does not answer."""

    def __init__(self, timeout: float = 5.0) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def job(self, address: str, *, busy: bool = False) -> JobView | None:
        """The one job of this JobManager, or None before it is submitted. While it starts there is only its state.

        How busy it is is asked for where `busy` says so: that is a request more for each of its tasks.
        """
        jobs = (await self._call("GET", f"{address}/jobs/overview"))["jobs"]
        if not jobs:
            return None
        newest = max(jobs, key=lambda job: int(job.get("start-time", 0)))
        identity, state = newest["jid"], newest["state"]
        if state in _STARTING:
            return JobView(identity, state)
        checkpoints = await self._call("GET", f"{address}/jobs/{identity}/checkpoints")
        latest = checkpoints.get("latest") or {}
        savepoint, checkpoint = ((latest.get(kind) or {}).get("external_path") for kind in ("savepoint", "completed"))
        error = await self._error(address, identity) if state in ("FAILED", "FAILING", "RESTARTING") else None
        told = await self._told(address, identity)
        if checkpoint and "directory" not in told:
            told["directory"] = checkpoint.rsplit("/", 2)[0]  # <directory>/<job>/chk-<n>
        completed = latest.get("completed") or {}
        moment, size = completed.get("latest_ack_timestamp"), completed.get("state_size")
        view = JobView(identity, state, savepoint, checkpoint, error, **told)
        view = replace(view, completed_at=None if moment is None else moment / 1000, completed_bytes=size)
        return replace(view, busy=await self._busy(address, identity)) if busy else view

    async def stop(self, address: str, job: str, directory: str | None) -> str:
        """Ask for a stop with a savepoint below `directory`; the id to ask for its result with."""
        body = {"targetDirectory": directory, "drain": False}
        answer = await self._call("POST", f"{address}/jobs/{job}/stop", body)
        return str(answer["request-id"])

    async def take(self, address: str, job: str, directory: str) -> str:
        """Ask for a savepoint below `directory` while the job runs on; the id to ask for its result with."""
        body = {"target-directory": directory, "cancel-job": False}
        answer = await self._call("POST", f"{address}/jobs/{job}/savepoints", body)
        return str(answer["request-id"])

    async def dispose(self, address: str, location: str) -> str | None:
        """Remove a savepoint; why that is not possible, None when it is gone."""
        answer = await self._call("POST", f"{address}/savepoint-disposal", {"savepoint-path": location})
        while True:
            done = await self._call("GET", f"{address}/savepoint-disposal/{answer['request-id']}")
            if done["status"]["id"] == "COMPLETED":
                cause = (done.get("operation") or {}).get("failure-cause")
                return _first_lines(cause.get("stack-trace", "")) if cause else None
            await asyncio.sleep(_POLL_SECONDS)

    async def savepoint(self, address: str, job: str, trigger: str) -> Savepoint:
        """What became of it."""
        answer = await self._call("GET", f"{address}/jobs/{job}/savepoints/{trigger}")
        if answer["status"]["id"] != "COMPLETED":
            return Savepoint(done=False)
        operation = answer["operation"]
        cause = operation.get("failure-cause")
        return Savepoint(
            done=True,
            location=operation.get("location"),
            error=_first_lines(cause.get("stack-trace", "")) if cause else None,
        )

    async def _busy(self, address: str, job: str) -> float | None:
        """None while no task has said anything of it yet."""
        tasks = (await self._call("GET", f"{address}/jobs/{job}"))["vertices"]
        found = []
        for task in tasks:
            url = f"{address}/jobs/{job}/vertices/{task['id']}/subtasks/metrics?get=busyTimeMsPerSecond&agg=avg"
            found += [metric["avg"] for metric in await self._call("GET", url) if metric.get("avg") is not None]
        known = [float(each) / 1000 for each in found if not math.isnan(float(each))]
        return min(1.0, max(known)) if known else None

    async def _told(self, address: str, job: str) -> dict[str, Any]:
        """What the job said of its state, as parameters of the job; nothing of one that says nothing."""
        answer = await self._call("GET", f"{address}/jobs/{job}/config")
        given = (answer.get("execution-config") or {}).get("user-config") or {}
        names = ("directory", "origin", "reason", "savepoints")
        found = {name: given[key] for name in names if (key := f"marketpipeline.state.{name}") in given}
        if "savepoints" in found:
            found["savepoints"] = tuple((str(place), int(moment)) for place, moment in json.loads(found["savepoints"]))
        return found

    async def _error(self, address: str, job: str) -> str | None:
        answer = await self._call("GET", f"{address}/jobs/{job}/exceptions")
        entries = (answer.get("exceptionHistory") or {}).get("entries") or []
        text = entries[0].get("stacktrace", "") if entries else answer.get("root-exception") or ""
        return _first_lines(text) or None

    async def _call(self, method: str, url: str, body: Any = None) -> Any:
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as session,
                session.request(method, url, json=body) as answer,
            ):
                if answer.status >= 400:
                    raise RetryableError(f"Flink at {url}: status {answer.status}: {_words(await answer.text())}")
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RetryableError(f"Flink at {url}: {type(error).__name__}: {error}") from error


def _words(body: str) -> str:
    """What Flink says is wrong, without the stack trace that it sends along."""
    try:
        errors = json.loads(body)["errors"]
    except (ValueError, KeyError, TypeError):
        return body[:300]
    return " ".join(_first_lines(str(error)) for error in errors)[:300]


def _first_lines(trace: str) -> str:
    """The exception and its causes, without the frames."""
    lines = [line.strip() for line in trace.splitlines() if line and not line.startswith(("\t", " "))]
    return " ".join(lines)[:1000]
