"""Trades without the outliers among them: those of the whole history, whatever span, order, limit and batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from marketpipeline.readers import HistoryQuery, Span
from marketpipeline.readers.outliers import without_outliers
from marketpipeline.store import table_of
from marketpipeline.store.rows import JsonRow, iso

BEGIN = datetime(2024, 8, 8, tzinfo=UTC)
TRADES, ALERTS = table_of("trades"), table_of("alerts")
MOMENTS = st.none() | st.integers(-1, 13).map(lambda second: BEGIN + timedelta(seconds=second))


class Held:
    """A history of trades at some seconds; each that is far has the two rows of its alert."""

    def __init__(self, trades: list[tuple[int, bool]]) -> None:
        self.trades = [
            {"symbol": "x:AAA", "trade_id": number, "trade_time": iso(BEGIN + timedelta(seconds=second)), "far": far}
            for number, (second, far) in enumerate(sorted(trades))
        ]

    async def rows(self, query: HistoryQuery) -> AsyncIterator[list[JsonRow]]:
        if query.table is ALERTS:
            assert query.filters == {"symbol": "x:AAA", "rule": "outlier"}
        found = within(self.trades if query.table is TRADES else [row for row in self.trades if row["far"]], query)
        for begin in range(0, len(found), 3):
            yield found[begin : begin + 3]


def within(rows: list[JsonRow], query: HistoryQuery) -> list[JsonRow]:
    """As a store answers."""
    span, limit = query.span, query.span.limit
    since, until = (None if time is None else iso(time) for time in (span.since, span.until))
    found = [
        row
        for row in rows
        if (since is None or row["trade_time"] >= since) and (until is None or row["trade_time"] < until)
    ]
    if query.newest_first:
        return found[::-1][:limit]
    return found[:limit] if limit is None or span.since is not None else found[-limit:]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=30),
    MOMENTS,
    MOMENTS,
    st.integers(1, 12) | st.none(),
    st.booleans(),
)
def test_a_limit_counts_what_is_left(
    trades: list[tuple[int, bool]],
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
    newest_first: bool,
) -> None:
    held = Held(trades)
    query = HistoryQuery(TRADES, {"symbol": "x:AAA"}, Span(since, until, limit), newest_first)

    async def ask() -> list[JsonRow]:
        batches = [rows async for rows in without_outliers(held.rows, query)]
        assert all(batches)
        return [row for rows in batches for row in rows]

    assert asyncio.run(ask()) == within([row for row in held.trades if not row["far"]], query)
