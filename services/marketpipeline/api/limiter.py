"""How many requests a client may make, counted together by all replicas where there is a store to count in.

A request never waits for that store: each process counts by itself and ten times a second tells the store what it has
counted and hears what all have. While the store is away a process goes by its own count; what comes within a tenth of a
second at several replicas may be more than is allowed. The window slides: of the window before this one the part counts
that still lies within its length.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from marketpipeline.errors import RetryableError

__all__ = ["Counters", "Limiter", "Verdict"]

_log = logging.getLogger(__name__)

MOST_CLIENTS = 50_000
"""Clients that are known at a time; the one that was away for longest is forgotten first."""

_TELL_SECONDS = 0.1


class Counters(Protocol):
    """Numbers that several processes add to."""

    async def add(self, amounts: Mapping[str, int], seconds: int) -> dict[str, int]:
        """Add to each number by its name, and give what it is now; one that is not added to for so long is gone.

        Raises RetryableError while the store is away.
        """

    async def close(self) -> None:
        """Close its connections."""


class Verdict(NamedTuple):
    """What may be asked: `remaining` in this window after this request, `wait` seconds until one more may be asked."""

    allowed: bool
    remaining: int
    wait: float


@dataclass(slots=True)
class _Count:
    """Of one client: which window, what all have counted in it and in the one before, and what is not told yet."""

    window: int
    all: int = 0
    before: int = 0
    untold: int = 0
    untold_before: int = 0


class Limiter:
    """At most `requests` within `seconds` for each client; everything is called on the event loop."""

    def __init__(
        self, requests: int, seconds: int, counters: Counters | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.requests, self.seconds = requests, seconds
        self._counters, self._clock = counters, clock
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        self._telling: asyncio.Task[None] | None = None
        self._away = False

    def ask(self, client: str) -> Verdict:
        """Count a request of a client, if it is allowed."""
        now = self._clock()
        window, into = divmod(now, self.seconds)
        count = self._count(client, int(window))
        used = count.before * (1 - into / self.seconds) + count.all
        if used + 1 > self.requests:
            return Verdict(False, 0, self._wait(count, into))
        count.all += 1
        count.untold += 1
        return Verdict(True, max(0, math.floor(self.requests - used - 1)), 0.0)

    def start(self) -> None:
        """Begin to tell the store, if there is one."""
        if self._counters is not None:
            self._telling = asyncio.create_task(self._tell_for_ever())

    async def close(self) -> None:
        """Stop telling."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait([self._telling])
        if self._counters is not None:
            await self._counters.close()

    def _count(self, client: str, window: int) -> _Count:
        count = self._counts.get(client)
        if count is None:
            count = self._counts[client] = _Count(window)
            if len(self._counts) > MOST_CLIENTS:
                self._counts.popitem(last=False)
        elif count.window != window:
            follows = count.window == window - 1
            count.before, count.untold_before = (count.all, count.untold) if follows else (0, 0)
            count.window, count.all, count.untold = window, 0, 0
        self._counts.move_to_end(client)
        return count

    def _wait(self, count: _Count, into: float) -> float:
        """Until the part of the window before is small enough, or this window is the one before and is."""
        left = self.seconds - into
        if count.all + 1 <= self.requests:
            return left - (self.requests - count.all - 1) / count.before * self.seconds
        return left + self.seconds * (1 - (self.requests - 1) / count.all)

    async def _tell_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            try:
                await self.tell()
            except RetryableError as error:
                if not self._away:
                    _log.warning("requests are counted by this process alone", extra={"error": str(error)})
                self._away = True
            else:
                self._away = False

    async def tell(self) -> None:
        """Tell the store what was counted, and hear what all have counted."""
        assert self._counters is not None
        told = [
            (client, count, count.window)
            for client, count in self._counts.items()
            if count.untold or count.untold_before
        ]
        if not told:
            return
        amounts: dict[str, int] = {}
        for client, count, window in told:
            amounts[f"{window}:{client}"] = count.untold
            amounts[f"{window - 1}:{client}"] = count.untold_before
        found = await self._counters.add(amounts, 2 * self.seconds)
        for client, count, window in told:
            count.untold_before -= amounts[f"{window - 1}:{client}"] if count.window == window else 0
            count.before = (
                max(count.before, found[f"{window - 1}:{client}"]) if count.window == window else count.before
            )
            if count.window == window:
                count.untold -= amounts[f"{window}:{client}"]
                count.all = found[f"{window}:{client}"] + count.untold
