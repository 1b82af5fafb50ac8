"""Trades without the outliers among them: candles and statistics keep what the exchange has, a reader need not.

Which they are, the alerts `outlier` say, each of which names its trade. Both are asked of whichever store and tier has
them: the trades as ever, then the alerts of just the time of these trades.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from marketpipeline.alert_kinds.outlier import ALERT
from marketpipeline.readers.questions import HistoryQuery
from marketpipeline.store.rows import JsonRow
from marketpipeline.store.tables import table_of

__all__ = ["History", "without_outliers"]

History = Callable[[HistoryQuery], AsyncIterator[list[JsonRow]]]


async def without_outliers(history: History, query: HistoryQuery) -> AsyncIterator[list[JsonRow]]:
    """The trades of a query, whose limit counts those that are left, in batches that are never empty."""
    if query.span.limit is not None:
        if left := await _limited(history, query, query.span.limit):
            yield left
        return
    async for rows in history(query):
        if left := await _left(history, query, rows):
            yield left


async def _limited(history: History, query: HistoryQuery, limit: int) -> list[JsonRow]:
    """Outliers are few, so that the limit is asked for first; only where one was among these, the double of it."""
    asked = limit
    while True:
        wider = replace(query, span=replace(query.span, limit=asked))
        rows = [row async for batch in history(wider) for row in batch]
        left = await _left(history, query, rows)
        if len(left) >= limit or len(rows) < asked:
            from_the_end = query.span.since is None and not query.newest_first
            return left[-limit:] if from_the_end else left[:limit]
        asked *= 2


async def _left(history: History, query: HistoryQuery, rows: Sequence[JsonRow]) -> list[JsonRow]:
    times = [datetime.fromisoformat(row["trade_time"]) for row in rows]
    if not times:
        return []
    span = replace(query.span, since=min(times), until=max(times) + timedelta(microseconds=1), limit=None)
    filters = {name: value for name, value in query.filters.items() if name == "symbol"} | {"rule": ALERT.name}
    alerts = replace(query, table=table_of("alerts"), filters=filters, span=span, newest_first=False)
    far = {(alert["symbol"], alert["trade_id"]) async for batch in history(alerts) for alert in batch}
    return [row for row in rows if (row["symbol"], row["trade_id"]) not in far]
