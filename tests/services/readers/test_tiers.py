"""A span over tiers: no hole and no double at the seams, whatever was archived when."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from marketpipeline.readers import Count, HistoryQuery, Reader, Span
from marketpipeline.readers.tiers import Part, Tiered, WarmReader, joined, parts
from marketpipeline.store import table_of

BEGIN = datetime(2024, 3, 1, tzinfo=UTC)
TRADES = table_of("trades")
DAYS = st.frozensets(st.integers(0, 9).map(lambda n: (BEGIN + timedelta(days=n)).date()))
MOMENTS = st.integers(-30, 270).map(lambda hours: BEGIN + timedelta(hours=hours)) | st.none()
SEAM = timedelta(microseconds=1)


@given(DAYS, MOMENTS, MOMENTS)
def test_the_parts_of_a_span_are_the_span(
    days: frozenset[date], since: datetime | None, until: datetime | None
) -> None:
    found = list(parts(days, since, until))
    if since is not None and until is not None and since >= until:
        assert found == []
        return
    assert (found[0].since, found[-1].until) == (since, until)
    for part, following in itertools.pairwise(found):
        assert part.until == following.since
        assert part.archived != following.archived, "neighbours of one tier are one part"
    for part in found:
        assert part.since is None or part.until is None or part.since < part.until
        for moment in _within(part):
            assert (moment.date() in days) == part.archived


def _within(part: Part) -> list[datetime]:
    """Its first and last moment, and the middle of each day in it."""
    noons = [BEGIN + timedelta(days=n, hours=12) for n in range(-2, 13)]
    first = [part.since] if part.since is not None else []
    last = [part.until - SEAM] if part.until is not None else []
    return [
        *first,
        *last,
        *(m for m in noons if (part.since is None or m >= part.since) and (part.until is None or m < part.until)),
    ]


class Held:
    """A store of times; between two questions a day may go to the other."""

    def __init__(self, moments: list[datetime], days: set[date], other: Held | None = None) -> None:
        self.moments, self.days, self.other = set(moments), days, other
        self.moves: list[date] = []

    async def archived_days(self, table: str) -> Collection[date]:
        if self.moves and self.other is not None:
            day = self.moves.pop()
            back = day in self.days
            source, target = (self.other, self) if back else (self, self.other)
            target.moments |= {moment for moment in source.moments if moment.date() == day}
            (self.days.discard if back else self.days.add)(day)
        return set(self.days)

    async def history(self, query: HistoryQuery) -> AsyncIterator[list[dict[str, Any]]]:
        span = query.span
        found = sorted(
            moment
            for moment in self.moments
            if (span.since is None or moment >= span.since) and (span.until is None or moment < span.until)
        )
        if query.newest_first:
            found = found[::-1]
        rows = [{"trade_time": moment} for moment in found[: span.limit]]
        for begin in range(0, len(rows), 3):
            yield rows[begin : begin + 3]

    async def count(self, query: HistoryQuery, sums: Sequence[str] = (), *, daily: bool = False) -> list[Count]:
        found: dict[date | None, list[datetime]] = {}
        async for rows in self.history(query):
            for row in rows:
                found.setdefault(row["trade_time"].date() if daily else None, []).append(row["trade_time"])
        return [
            Count("a", day, "held", len(moments), str(moments[0]), str(moments[-1]), {"price": len(moments) * 0.5})
            for day, moments in sorted(found.items(), key=lambda group: group[0] or date.min)
        ]


def wanted(moments: list[datetime], query: HistoryQuery) -> list[datetime]:
    span = query.span
    found = sorted(
        m for m in set(moments) if (span.since is None or m >= span.since) and (span.until is None or m < span.until)
    )
    if query.newest_first:
        return found[::-1][: span.limit]
    return found[: span.limit] if span.limit is None or span.since is not None else found[-span.limit :]


ROWS = st.lists(
    st.integers(0, 10 * 24 * 4).map(lambda quarter: BEGIN + timedelta(minutes=15 * quarter))
    | st.integers(0, 10).map(lambda day: BEGIN + timedelta(days=day) - SEAM)
    | st.integers(0, 10).map(lambda day: BEGIN + timedelta(days=day)),
    max_size=60,
)


@settings(deadline=None)
@given(
    ROWS, DAYS, st.lists(st.integers(0, 9), max_size=6), MOMENTS, MOMENTS, st.integers(1, 40) | st.none(), st.booleans()
)
def test_an_answer_over_tiers_is_that_of_one_store(
    moments: list[datetime],
    days: frozenset[date],
    moved: list[int],
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
    newest_first: bool,
) -> None:
    """Also while days are archived and restored between the parts: rows of a moved day are in both until later."""
    cold = Held([moment for moment in moments if moment.date() in days], set())
    warm = Held([moment for moment in moments if moment.date() not in days], set(days), cold)
    warm.moves = [(BEGIN + timedelta(days=n)).date() for n in moved]
    query = HistoryQuery(TRADES, {}, Span(since, until, limit), newest_first)

    async def ask() -> list[datetime]:
        batches = joined(cast(WarmReader, warm), cast(Reader, cold), query)
        return [row["trade_time"] async for rows in batches for row in rows]

    assert asyncio.run(ask()) == wanted(moments, query)


@settings(deadline=None)
@given(ROWS, DAYS, st.lists(st.integers(0, 9), max_size=6), MOMENTS, MOMENTS, st.booleans())
def test_a_count_over_tiers_is_that_of_one_store(
    moments: list[datetime],
    days: frozenset[date],
    moved: list[int],
    since: datetime | None,
    until: datetime | None,
    daily: bool,
) -> None:
    cold = Held([moment for moment in moments if moment.date() in days], set())
    warm = Held([moment for moment in moments if moment.date() not in days], set(days), cold)
    warm.moves = [(BEGIN + timedelta(days=n)).date() for n in moved]
    query = HistoryQuery(TRADES, {}, Span(since, until))
    tiered = Tiered.__new__(Tiered)
    tiered._warm, tiered._cold = cast(WarmReader, warm), cast(Reader, cold)
    found = asyncio.run(tiered.count(query, ("price",), daily=daily))
    assert found == asyncio.run(Held(wanted(moments, query), set()).count(query, ("price",), daily=daily))
