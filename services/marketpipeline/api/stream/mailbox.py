"""What one reader has not read yet: everything while it is little, the newest of each key when it falls behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from marketpipeline.api.stream.updates import Batch, Update

__all__ = ["MOST_KEYS", "MOST_WAITING", "Mail", "Mailbox"]

MOST_WAITING = 1_000
"""Updates that wait for a reader before it is thinned."""

MOST_KEYS = 4_000
"""Of a reader that is thinned the newest of at most so many keys is kept; then the oldest give way."""


class Mail(NamedTuple):
    """What a reader gets next: words by their kind, how many updates were left out before these, and the batches."""

    words: dict[str, dict[str, Any]]
    skipped: int
    batches: list[Batch]


class Mailbox:
    """Batches for one reader. They are shared with all the others: a reader that waits costs references only."""

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self._waiting = 0
        self._newest: dict[tuple[str, str], Update] | None = None
        self._last = ""
        self._skipped = 0
        self._words: dict[str, dict[str, Any]] = {}
        self._news = asyncio.Event()
        self.skipped = 0
        """Updates that were left out since the reader came."""
        self.closed = False

    def put(self, batch: Batch) -> None:
        """Add what is new."""
        self._last = batch.last
        if self._newest is not None:
            self._thin(batch.updates)
        else:
            self._batches.append(batch)
            self._waiting += len(batch.updates)
            if self._waiting > MOST_WAITING:
                waiting, self._batches, self._newest = self._batches, [], {}
                for each in waiting:
                    self._thin(each.updates)
        self._news.set()

    def say(self, kind: str, **words: Any) -> None:
        """Have the reader told something that is no update; of each kind only the last is told."""
        self._words[kind] = words
        self._news.set()

    def close(self) -> None:
        """Nothing more comes."""
        self.closed = True
        self._news.set()

    def _thin(self, updates: Sequence[Update]) -> None:
        newest = self._newest
        assert newest is not None
        known = len(newest)
        for update in updates:
            newest.pop(update.key, None)
            newest[update.key] = update
        while len(newest) > MOST_KEYS:
            del newest[next(iter(newest))]
        left_out = known + len(updates) - len(newest)
        self._skipped += left_out
        self.skipped += left_out

    async def wait(self, seconds: float) -> bool:
        """Until there is something to read; False when nothing came for so long."""
        if not self._news.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                return False
        return True

    def take(self) -> Mail:
        """All there is."""
        self._news.clear()
        batches = self._batches
        if self._newest is not None:
            batches, self._newest = [Batch(list(self._newest.values()), self._last)], None
        found = Mail(self._words, self._skipped, batches)
        self._words, self._skipped, self._batches, self._waiting = {}, 0, [], 0
        return found
