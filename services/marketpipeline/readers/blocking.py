"""The stores for a caller without an event loop: rows come a batch at a time, on a loop of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

from marketpipeline.readers.counting import DayHeld, days_held
from marketpipeline.readers.questions import HistoryQuery
from marketpipeline.readers.reading import Answer, Readers, TierState
from marketpipeline.store.rows import JsonRow

__all__ = ["Blocking", "blocking"]


class Blocking:
    """Stores for a caller without an event loop; see `blocking`."""

    def __init__(self, readers: Readers, runner: asyncio.Runner) -> None:
        self._readers = readers
        self._runner = runner

    def newest(self, symbols: Sequence[str], kinds: Sequence[str]) -> Answer:
        """As `Readers.newest`."""
        return self._runner.run(self._readers.newest(symbols, kinds))

    def holdings(self) -> dict[str, set[str]]:
        """As `Readers.holdings`."""
        return self._runner.run(self._readers.holdings())

    def tiers(self) -> list[TierState]:
        """As `Readers.tiers`."""
        return self._runner.run(self._readers.tiers())

    def days_held(self, query: HistoryQuery) -> list[DayHeld]:
        """As `counting.days_held`."""
        return self._runner.run(days_held(self._readers, query))

    def history(self, query: HistoryQuery) -> Generator[JsonRow]:
        """The rows one by one, read a batch at a time; closing the iterator ends the reading."""
        batches = self._readers.history(query)
        try:
            while (batch := self._runner.run(_next(batches))) is not None:
                yield from batch
        finally:
            self._runner.run(_end(batches))


async def _next(batches: AsyncIterator[list[JsonRow]]) -> list[JsonRow] | None:
    return await anext(batches, None)


async def _end(batches: Any) -> None:
    async with aclosing(batches):
        pass


@contextmanager
def blocking(readers: Readers) -> Iterator[Blocking]:
    """The stores, open for the block, on an event loop of their own."""
    with asyncio.Runner() as runner:
        runner.run(readers.__aenter__())
        try:
            yield Blocking(readers, runner)
        finally:
            runner.run(readers.__aexit__())
