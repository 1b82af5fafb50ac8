"""What the warehouse keeps: what is computed as a whole, the book as one row for each symbol and second. Pure.

A warehouse is asked for days and months and paid by what it scans, so the rows are made fewer before they get there:
book metrics, of which there are ten a second and symbol, become samples. A sample is the last metrics of its window
and the extremes in it, so it may be told in parts, in any order and more than once, and ends the same.
"""

from __future__ import annotations

from typing import Literal

from marketpipeline.record_kinds import Measure, Rank
from marketpipeline.records import BookMetrics, WindowEdge
from marketpipeline.store.tables import Table, table_of
from marketpipeline.topics import TopicKind

__all__ = ["EXTREMES", "SAMPLES", "SNOWFLAKE_TOPICS", "TRADES", "WHOLE", "BookSample", "Period", "warehoused"]

Period = Literal["1s", "5s", "10s", "30s", "1m"]
"""Length of a sample's window."""


class BookSample(BookMetrics, tag="book_sample", frozen=True, kw_only=True, gc=False):
    """The last book metrics of a window, by event time and update id, and the extremes of all of its metrics."""

    interval: Period
    open_time: WindowEdge
    close_time: WindowEdge
    lowest_mid: float
    highest_mid: float
    lowest_spread_bps: float
    highest_spread_bps: float
    lowest_imbalance: float
    highest_imbalance: float


EXTREMES = ("mid", "spread_bps", "imbalance")
"""Of these measures a sample has `lowest_…` and `highest_…`."""

SAMPLES = Table(
    record=BookSample,
    topic=TopicKind.BOOK_METRICS,
    name="book_samples",
    group="book",
    key=("symbol", "interval", "open_time"),
    time="open_time",
    rank=Rank((Measure("event_time"), Measure("update_id"))),
)

WHOLE = tuple(table_of(name) for name in ("alerts", "candles", "feed_events", "trade_statistics"))
"""Tables that get every row."""

TRADES = table_of("trades")
"""The one that gets its rows only where the spec says so."""

SNOWFLAKE_TOPICS = frozenset(table.topic for table in (*WHOLE, SAMPLES, TRADES))
"""All topics that the sink may read."""


def warehoused(*, trades: bool) -> tuple[Table, ...]:
    """The tables that are written."""
    return (*WHOLE, SAMPLES, *([TRADES] if trades else []))
