"""What the processes say of themselves: a Pod is ready with its store away, and its own `/health` says so."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from marketpipeline_operator.cluster.cache import Cache, Key
from marketpipeline_operator.observe.flow import Reading, read

__all__ = ["HealthMonitor", "words_of"]

_TICK_SECONDS = 2.0
_TIMEOUT_SECONDS = 3.0
_CONCURRENT = 32
_MOST_A_SECOND = 30.0
"""Questions a second at most, so that thousands of processes cost no more of a core than hundreds."""
_SOONER = 3
"""A part of the interval, after which a process that says it is degraded is asked again."""
_LONGEST = 300
_LARGEST = 1 << 20
"""Bytes of an answer that are read."""
_CHANGING = (int, float, type(None))
"""Values that differ from one answer to the next, as ages and counts do; a status with them would never rest."""


class HealthMonitor:
    """Asks every ready Pod now and then, and calls `wake` for a pipeline when an answer is another than before. Where
    there are more than can be asked within the interval, the turn of each comes later.

    A process counts as degraded when it says so twice: one that is slowed down for a moment is well again by then. A
    Pod that does not answer here does not count: the kubelet, which is nearer, says whether it is ready.
    """

    def __init__(
        self, cache: Cache, wake: Callable[[Key], None], interval: float, silent_after: float = math.inf
    ) -> None:
        self._cache = cache
        self._wake = wake
        self._interval = interval
        self._silent_after = silent_after
        self._readings: dict[str, Reading] = {}
        self._silent: set[str] = set()
        self._asked: dict[str, float] = {}
        self._suspected: set[str] = set()
        self._degraded: dict[str, str] = {}

    @property
    def degraded(self) -> Mapping[str, str]:
        """By Pod uid: what is wrong, of those that say so."""
        return self._degraded

    @property
    def readings(self) -> Mapping[str, Reading]:
        """By Pod uid: what its counters said last."""
        return self._readings

    @property
    def patience(self) -> float:
        """Seconds without news after which a process is silent: it has to be asked twice meanwhile."""
        return max(self._silent_after, 2 * len(self._cache.health_urls()) / _MOST_A_SECOND)

    async def run(self) -> None:
        """Ask, for ever."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        limit = asyncio.Semaphore(_CONCURRENT)
        tick = min(_TICK_SECONDS, self._interval)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                pods = self._cache.health_urls()
                for uid in self._asked.keys() - pods.keys():
                    del self._asked[uid]
                    self._suspected.discard(uid)
                    self._degraded.pop(uid, None)
                for uid in self._readings.keys() - pods.keys():
                    del self._readings[uid]
                    self._silent.discard(uid)
                due = sorted((uid for uid in pods if self._is_due(uid)), key=self._turn)
                async with asyncio.TaskGroup() as group:
                    for uid in due[: math.ceil(_MOST_A_SECOND * tick)]:
                        group.create_task(self._ask(session, limit, uid, *pods[uid]))
                await asyncio.sleep(tick)

    def _is_due(self, uid: str) -> bool:
        wait = self._interval / _SOONER if self._is_doubtful(uid) else self._interval
        return time.monotonic() - self._asked.get(uid, -math.inf) >= wait

    def _is_doubtful(self, uid: str) -> bool:
        return uid in self._suspected and uid not in self._degraded

    def _turn(self, uid: str) -> tuple[bool, float]:
        """Who may be unwell first, then who has waited the longest."""
        return not self._is_doubtful(uid), self._asked.get(uid, -math.inf)

    async def _ask(
        self, session: aiohttp.ClientSession, limit: asyncio.Semaphore, uid: str, key: Key, url: str
    ) -> None:
        async with limit:
            answer = await self._answer(session, url)
        self._asked[uid] = time.monotonic()
        self._read(uid, key, answer)
        said = words_of(answer)
        if said is not None and uid not in self._suspected:
            self._suspected.add(uid)
            return
        if said is None:
            self._suspected.discard(uid)
        if said == self._degraded.get(uid):
            return
        if said is None:
            del self._degraded[uid]
        else:
            self._degraded[uid] = said
        self._wake(key)

    def _read(self, uid: str, key: Key, answer: Any) -> None:
        """Note the counters; that a process reads nothing any more, or again, is news."""
        reading = self._readings[uid] = read(answer, self._readings.get(uid), time.time())
        silent = reading.silence > self.patience
        if silent is not (uid in self._silent):
            (self._silent.add if silent else self._silent.discard)(uid)
            self._wake(key)

    @staticmethod
    async def _answer(session: aiohttp.ClientSession, url: str) -> Any:
        """The answer; None where there is none that can be read."""
        try:
            async with session.get(url, allow_redirects=False) as answer:
                return json.loads(await answer.content.read(_LARGEST))
        except (aiohttp.ClientError, OSError, RecursionError, TimeoutError, ValueError):
            return None


def words_of(answer: Any) -> str | None:
    """What is wrong, from an answer of `/health`; None where it is `ok`."""
    if not isinstance(answer, dict) or answer.get("status") != "degraded":
        return None
    details = {key: _lasting(value) for key, value in answer.items() if key != "status"}
    told = {key: value for key, value in details.items() if value not in (None, "", [], {}, True)}
    if said := told.get("reason") or told.get("error"):
        return f"degraded: {said}"[:_LONGEST]
    return f"degraded: {json.dumps(told, sort_keys=True)}"[:_LONGEST] if told else "degraded"


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _lasting(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each is not None}
    return None if isinstance(value, _CHANGING) and not isinstance(value, bool) else value
