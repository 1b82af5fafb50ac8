"""What the stores have counted: of several tiers as of one store, and beside it what is known to be missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from marketpipeline.readers.questions import HistoryQuery
from marketpipeline.readers.reading import Count, Readers
from marketpipeline.record_kinds import KIND_OF
from marketpipeline.store.tables import table_of

__all__ = ["DayHeld", "days_held", "together"]


@dataclass(frozen=True, slots=True)
class DayHeld:
    """What there is of a symbol and a UTC day in one table, and how many gaps are known of the feeds behind it.

    A day of which nothing is there but a gap has no rows and no times.
    """

    symbol: str
    day: date
    store: str | None
    rows: int
    first: str | None
    last: str | None
    gaps: int


async def days_held(readers: Readers, query: HistoryQuery) -> list[DayHeld]:
    """Of each symbol and day of a query what there is and what is missing, in order of days and symbols.

    Raises NotKept where no store counts, RetryableError.
    """
    feeds = sorted(feed.value for feed in KIND_OF[query.table.record].feeds or ())
    filters = {"kind": "gap"} | ({"feed": feeds} if feeds else {})
    filters |= {"symbol": query.filters["symbol"]} if "symbol" in query.filters else {}
    missing = await readers.count(replace(query, table=table_of("feed_events"), filters=filters), daily=True)
    gaps = {(found.day, found.symbol): found.rows for found in missing}
    held = {(found.day, found.symbol): found for found in await readers.count(query, daily=True)}
    return [
        DayHeld(symbol, day, found.store, found.rows, found.first, found.last, gaps.get((day, symbol), 0))
        if (found := held.get((day, symbol)))
        else DayHeld(symbol, day, None, 0, None, None, gaps[day, symbol])
        for day, symbol in sorted(held.keys() | gaps.keys())
        if day is not None
    ]


def together(counts: Iterable[Count]) -> list[Count]:
    """Counts of several tiers as of one store, in order of days and symbols."""
    found: dict[tuple[date | None, str], Count] = {}
    for count in counts:
        place = (count.day, count.symbol)
        found[place] = _both(found[place], count) if place in found else count
    return [found[place] for place in sorted(found, key=lambda place: (place[0] or date.min, place[1]))]


def _both(one: Count, other: Count) -> Count:
    stores = "+".join(dict.fromkeys((*one.store.split("+"), *other.store.split("+"))))
    first, last = min(one.first, other.first), max(one.last, other.last)
    sums = {name: value + other.sums[name] for name, value in one.sums.items()}
    return Count(one.symbol, one.day, stores, one.rows + other.rows, first, last, sums)
