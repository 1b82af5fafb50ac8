"""Which pipeline is looked at when: one at a time each, several concurrently, and none forgotten.

A pipeline that is added while a pass over it runs gets one more pass afterwards, so only the newest state counts. After
an error it is retried with growing waits, and every pipeline gets a pass from time to time though nothing happened.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from marketpipeline.backoff import Backoff
from marketpipeline.errors import MarketPipelineError, PermanentError, RetryableError

from marketpipeline_operator.cluster.cache import Key
from marketpipeline_operator.settings import ReconcileSettings

__all__ = ["Queue"]

_log = logging.getLogger(__name__)

_MOST_A_SECOND = 5.0
"""Passes a second at most for no other reason than that time has passed, so that pipelines that rest cost little."""

Pass = Callable[[Key], Awaitable[float | None]]
"""Works on a pipeline; gives the seconds after which it wants to be called again, None for the usual interval, or
infinity for a pipeline that is gone."""


@dataclass
class _Entry:
    """State of one pipeline: when it is due, since when somebody waits for it, and what ran last."""

    backoff: Backoff
    due: float | None = None
    waiting_since: float | None = None
    running_since: float | None = None
    again: bool = False
    ended: float = 0.0
    timer: asyncio.TimerHandle | None = None


class Queue:
    """Belongs to the event loop. `work` is called for a key until it says that the pipeline is gone."""

    def __init__(self, work: Pass, settings: ReconcileSettings) -> None:
        self._work = work
        self._settings = settings
        self._entries: dict[Key, _Entry] = {}
        self._workers = asyncio.Semaphore(settings.workers)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.results: dict[str, int] = {"ok": 0, "retry": 0, "failed": 0}
        self.on_duration: Callable[[float], None] = lambda seconds: None

    def add(self, key: Key, delay: float = 0.0) -> None:
        """Look at a pipeline in `delay` seconds, or earlier where that is planned already."""
        if self._closed:
            return
        entry = self._entries.get(key) or self._entries.setdefault(key, self._entry())
        if entry.running_since is not None:
            entry.again = entry.again or delay == 0
            if delay == 0:
                return
        now = time.monotonic()
        due = max(now + delay, entry.ended + self._settings.least_gap)
        if entry.due is not None and entry.due <= due:
            return
        entry.due = due
        if entry.timer is not None:
            entry.timer.cancel()
        entry.timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._start, key)

    @property
    def depth(self) -> int:
        """Pipelines that wait for a worker."""
        return sum(entry.waiting_since is not None for entry in self._entries.values())

    def oldest(self) -> float:
        """Age in seconds of the oldest work that has not started when due, or not ended."""
        now = time.monotonic()
        since = [s for e in self._entries.values() for s in (e.waiting_since, e.running_since, e.due) if s is not None]
        return max([now - s for s in since if s <= now], default=0.0)

    async def close(self) -> None:
        """Take no more work, stop what runs."""
        self._closed = True
        for entry in self._entries.values():
            if entry.timer is not None:
                entry.timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, key: Key) -> None:
        entry = self._entries.get(key)
        if entry is None:
            return
        entry.due = entry.timer = None
        if entry.running_since is not None or entry.waiting_since is not None:
            entry.again = entry.running_since is not None
            return
        entry.waiting_since = time.monotonic()
        task = asyncio.create_task(self._run(key, entry), name=f"reconcile {'/'.join(key)}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, key: Key, entry: _Entry) -> None:
        async with self._workers:
            entry.waiting_since, entry.running_since, entry.again = None, time.monotonic(), False
            try:
                delay = await self._attempt(key, entry)
            finally:
                entry.ended = time.monotonic()
                self.on_duration(entry.ended - entry.running_since)
                entry.running_since = None
        if entry.again:
            self.add(key)
        elif delay == math.inf:
            self._entries.pop(key, None)
            return
        self.add(key, min(delay, 2 * self._interval))

    @property
    def _interval(self) -> float:
        """Time after which a pipeline is looked at though nothing happened: longer where there are many."""
        return max(self._settings.interval, len(self._entries) / _MOST_A_SECOND)

    async def _attempt(self, key: Key, entry: _Entry) -> float:
        """One pass; the delay until the next."""
        usual: float = self._interval * random.uniform(0.8, 1.2)
        try:
            wanted = await self._work(key)
        except MarketPipelineError as error:
            permanent = isinstance(error, PermanentError)
            self.results["failed" if permanent else "retry"] += 1
            _log.warning("not reconciled", extra={"pipeline_key": "/".join(key), "error": str(error)})
            return usual if permanent else self._backoff(entry, error)
        except Exception:  # noqa: BLE001 - a defect in one pass may not end the operator; it is logged and tried again
            self.results["failed"] += 1
            _log.exception("pass failed", extra={"pipeline_key": "/".join(key)})
            return self._backoff(entry, None)
        self.results["ok"] += 1
        entry.backoff.reset()
        if wanted is None:
            return usual
        return wanted if wanted == math.inf else min(wanted, usual)

    def _entry(self) -> _Entry:
        return _Entry(Backoff(self._settings.backoff_initial, self._settings.backoff_max, jitter=(0.8, 1.2)))

    def _backoff(self, entry: _Entry, error: MarketPipelineError | None) -> float:
        delay = entry.backoff.next()
        asked = error.retry_after if isinstance(error, RetryableError) else None
        return delay if asked is None else asked
