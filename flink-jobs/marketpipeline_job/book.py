"""The book: measures of every event (defined with `BookMetrics` in the core), and what the rules find in them."""

from __future__ import annotations

from marketpipeline.records import BookMetrics, BookStatistics
from marketpipeline.settings import JobSettings
from marketpipeline.topics import TopicKind

from marketpipeline_job.alerts.row import found
from marketpipeline_job.ddl import columns, sink, source
from marketpipeline_job.deadletters import dead_letters
from marketpipeline_job.functions import BOOK_MEASURES, BOOK_RULES, call, limits, widths, with_thresholds
from marketpipeline_job.sql import PROCESS_TIME, Script, View, lines, literal

__all__ = ["book"]

_EVENT = "v = 1 AND `type` = 'book' AND receive_time IS NOT NULL AND update_id IS NOT NULL AND symbol IS NOT NULL"
_READ = (
    "`type`", "v", "symbol", "event_time", "receive_time", "update_id", "bids", "asks", "`headers`", "`partition`",
    "`offset`",
)  # fmt: skip
"""What BookMeasures.ROW names, in its order."""
_KNOWN = "v = 1 AND `type` = 'heartbeat'"
_FAULTS = (
    (f"({_EVENT}) IS NOT TRUE", "'no book event of version 1 with its symbol, update_id and receive_time'"),
    ("TRUE", "error"),
)


def book(settings: JobSettings) -> Script:
    """Book events to rows of measures and alerts; a book that cannot be measured is a dead letter."""
    reported, faults = dead_letters(settings, TopicKind.BOOK, _KNOWN, _FAULTS, rows="book_measured")
    return Script(
        tables=(
            *(source(settings, kind) for kind in (TopicKind.BOOK, TopicKind.THRESHOLDS)),
            *(sink(settings, kind) for kind in (TopicKind.BOOK_METRICS, TopicKind.BOOK_STATISTICS, TopicKind.ALERTS)),
            reported,
        ),
        functions=(BOOK_MEASURES, BOOK_RULES),
        views=(_records(), _measured(settings), _measures(), _events(), _found(settings)),
        inserts=(_insert(), faults, _statistics(), found("book_found")),
    )


def _records() -> View:
    return View("book_records", f"SELECT\n{lines(_READ)}\nFROM book")


def _measured(settings: JobSettings) -> View:
    arguments = {"calculate": str(settings.calculate), "withinBps": literal(settings.within_bps)}
    return View("book_measured", call(BOOK_MEASURES, "book_records", arguments, by_symbol=False))


def _measures() -> View:
    """A row for each event that could be measured; rules in SQL may build on it."""
    fields = (
        "COALESCE(event_time, receive_time) AS event_time",
        "event_time IS NULL AS event_time_estimated",
        f"{PROCESS_TIME} AS process_time",
    )
    known = {"type", "v", "event_time", "event_time_estimated", "process_time"}
    kept = [*(name for name in columns(BookMetrics) if name not in known), "bid_slope", "ask_slope"]
    where = f"WHERE {_EVENT}\n  AND error IS NULL"
    return View("book_measures", f"SELECT\n{lines([*fields, *kept, '`headers`'])}\nFROM book_measured\n{where}")


def _events() -> View:
    """What BookEvent.ROW names, in its order: events, and the changes of thresholds among them."""
    fields = {
        "symbol": "STRING", "event_time": "BIGINT", "receive_time": "BIGINT", "process_time": "BIGINT",
        "update_id": "BIGINT", "event_time_estimated": "BOOLEAN", "mid": "DOUBLE", "spread_bps": "DOUBLE",
        "imbalance": "DOUBLE", "bid_quantity": "DOUBLE", "ask_quantity": "DOUBLE", "bid_depth": "DOUBLE",
        "ask_depth": "DOUBLE", "weighted_imbalance": "DOUBLE", "best_bid": "DOUBLE", "best_bid_quantity": "DOUBLE",
        "best_ask": "DOUBLE", "best_ask_quantity": "DOUBLE", "bid_slope": "DOUBLE", "ask_slope": "DOUBLE",
    }  # fmt: skip
    return with_thresholds("book_events", "book_measures", {name: (name, kind) for name, kind in fields.items()})


def _found(settings: JobSettings) -> View:
    arguments = {"settings": limits(settings), "widths": widths(settings)}
    return View("book_found", call(BOOK_RULES, "book_events", arguments, by_symbol=True))


def _insert() -> str:
    names = [f"`{name}`" for name in columns(BookMetrics)]
    values = ["'book_metrics'", "CAST(1 AS BIGINT)", *names[2:]]
    into = f"INSERT INTO book_metrics (\n{lines([*names, '`headers`'])}\n)"
    return f"{into}\nSELECT\n{lines([*values, '`headers`'])}\nFROM book_measures"


def _statistics() -> str:
    fixed = {"type": "'book_statistics'", "v": "CAST(1 AS BIGINT)", "symbol": "symbol", "process_time": PROCESS_TIME}
    names = list(columns(BookStatistics))
    selected = lines(fixed.get(name, f"b.statistics.`{name}`") for name in names)
    into = f"INSERT INTO book_statistics ({', '.join(f'`{name}`' for name in names)})"
    return f"{into}\nSELECT\n{selected}\nFROM book_found AS b\nWHERE b.statistics IS NOT NULL"
