"""Which tier answers which part of a span, and the parts joined to one answer.

The database notes the days of a table that were archived, before it drops their rows; a day is asked of the archive
from the note on, of the database else. A part is planned right before it is read, and rows go later than any question
that was planned before the note can take. So whatever is archived or restored meanwhile, no row is missed or doubled.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol, TypeGuard

from marketpipeline.readers.counting import together
from marketpipeline.readers.questions import HistoryQuery, Span
from marketpipeline.readers.reading import (
    Archived,
    Count,
    Counting,
    KeptBack,
    NewestRecords,
    NotKept,
    Reader,
)
from marketpipeline.store.rows import JsonRow

__all__ = ["Part", "Tiered", "WarmReader", "is_warm", "joined", "parts"]

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


class WarmReader(Reader, Protocol):
    """A store whose days go to an archive."""

    async def archived_days(self, table: str) -> Collection[date]:
        """The UTC days of a table that the archive answers for."""

    async def kept_back(self) -> Sequence[KeptBack]:
        """The days that could not go yet."""


def is_warm(reader: Reader) -> TypeGuard[WarmReader]:
    """Whether days of a reader's store go to an archive."""
    return isinstance(reader, Archived)


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a span that one tier answers for; None is without a bound."""

    archived: bool
    since: datetime | None
    until: datetime | None


def parts(days: Collection[date], since: datetime | None, until: datetime | None) -> Iterator[Part]:
    """A span in parts, in order of time; none for a span that is empty."""
    if since is not None and until is not None and since >= until:
        return
    at, archived = since, since is not None and since.astimezone(UTC).date() in days
    for edge, becomes in _edges(days):
        if becomes == archived or (at is not None and edge <= at):
            continue
        if until is not None and edge >= until:
            break
        yield Part(archived, at, edge)
        at, archived = edge, becomes
    yield Part(archived, at, until)


def _edges(days: Collection[date]) -> Iterator[tuple[datetime, bool]]:
    """Where stretches of archived days begin (true) and end (false)."""
    held = set(days)
    for day in sorted(held):
        midnight = datetime.combine(day, time(), UTC)
        if day - _DAY not in held:
            yield midnight, True
        if day + _DAY not in held:
            yield midnight + _DAY, False


async def _planned(warm: WarmReader, query: HistoryQuery, *, backwards: bool) -> AsyncIterator[Part]:
    """The parts of a query's span in the order in which they are read, each planned right before."""
    span: tuple[datetime | None, datetime | None] | None = (query.span.since, query.span.until)
    while span is not None:
        days = await warm.archived_days(query.table.name)
        planned = list(parts(days, *span))
        if not planned:
            return
        part = planned[-1] if backwards else planned[0]
        span = None if len(planned) == 1 else (span[0], part.since) if backwards else (part.until, span[1])
        yield part


async def joined(warm: WarmReader, cold: Reader, query: HistoryQuery) -> AsyncIterator[list[JsonRow]]:
    """The rows of a query from both tiers, as one store would give them."""
    newest = query.span.limit is not None and query.span.since is None
    backwards = query.newest_first or newest
    left = query.span.limit
    gathered: list[JsonRow] = []
    async for part in _planned(warm, query, backwards=backwards):
        asked = replace(query, span=Span(part.since or _BEGINNING, part.until, left), newest_first=backwards)
        async for rows in (cold if part.archived else warm).history(asked):
            left = None if left is None else left - len(rows)
            if backwards and not query.newest_first:
                gathered += rows
            else:
                yield rows
        if left == 0:
            break
    if gathered:
        yield gathered[::-1]


class Tiered:
    """A warm store together with the cold one, as one reader: in everything but the history it is the warm one."""

    def __init__(self, warm: WarmReader, cold: Reader) -> None:
        self._warm, self._cold = warm, cold
        self.name = warm.name
        self.keeps_newest, self.keeps_history = warm.keeps_newest, warm.keeps_history
        self.open, self.close, self.check = warm.open, warm.close, warm.check
        self.seen, self.holdings = warm.seen, warm.holdings
        self.archived_days, self.kept_back = warm.archived_days, warm.kept_back

    async def newest(self, symbols: Sequence[str], kinds: Sequence[str]) -> dict[str, NewestRecords]:
        """As the warm store's."""
        return await self._warm.newest(symbols, kinds)

    def history(self, query: HistoryQuery) -> AsyncIterator[list[JsonRow]]:
        """From both, each day from one of them."""
        if not self._cold.keeps_history(query.table.name):
            return self._warm.history(query)
        return joined(self._warm, self._cold, query)

    async def count(self, query: HistoryQuery, sums: Sequence[str] = (), *, daily: bool = False) -> list[Count]:
        """Each day as the tier has it that answers for it."""
        found: list[Count] = []
        async for part in _planned(self._warm, query, backwards=False):
            tier = self._cold if part.archived else self._warm
            if not isinstance(tier, Counting):
                raise NotKept(f"{tier.name} does not count rows of {query.table.name}")
            found += await tier.count(replace(query, span=Span(part.since, part.until)), sums, daily=daily)
        return together(found)
