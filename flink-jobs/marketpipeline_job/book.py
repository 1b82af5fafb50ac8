"""The book: measures of every event (defined with `BookMetrics` in the core), and what the rules find in them."""

from __future__ import annotations

from marketpipeline.records import BookMetrics, BookStatistics
from marketpipeline.settings import JobSettings
from marketpipeline.topics import TopicKind

from marketpipeline_job.alerts.row import found
from marketpipeline_job.ddl import columns, sink, source
from marketpipeline_job.deadletters import dead_letters
from marketpipeline_job.functions import BOOK_RULES, call, limits, widths, with_thresholds
from marketpipeline_job.sql import PROCESS_TIME, Script, View, lines

__all__ = ["book"]

_FORMAT = "measured-book"
_FOUND = {"bid_slope": "DOUBLE", "ask_slope": "DOUBLE", "measured": "BOOLEAN", "error": "STRING"}
"""What a record of the book is read to, beside what is written of it."""


def book(settings: JobSettings) -> Script:
    """Book events to rows of measures and alerts; a book that cannot be measured is a dead letter."""
    reported, faults = dead_letters(settings, TopicKind.BOOK, "error")
    return Script(
        tables=(
            source(settings, TopicKind.BOOK, _columns(), _format(settings)),
            source(settings, TopicKind.THRESHOLDS),
            *(sink(settings, kind) for kind in (TopicKind.BOOK_METRICS, TopicKind.BOOK_STATISTICS, TopicKind.ALERTS)),
            reported,
        ),
        functions=(BOOK_RULES,),
        views=(_measures(), _events(), _found(settings)),
        inserts=(_insert(), faults, _statistics(), found("book_found")),
    )


def _columns() -> dict[str, str]:
    return columns(BookMetrics) | _FOUND


def _format(settings: JobSettings) -> dict[str, str]:
    """Measures are made where a record is read (class BookReader): its levels are no columns."""
    measured = {"calculate": str(settings.calculate), "within-bps": repr(settings.within_bps)}
    return {"format": _FORMAT, **{f"{_FORMAT}.{name}": value for name, value in measured.items()}}


def _measures() -> View:
    """A row for each event that could be measured; rules in SQL may build on it."""
    known = {"type", "v", "measured", "error"}
    kept = [name for name in _columns() if name not in known]
    return View("book_measures", f"SELECT\n{lines([*kept, '`headers`'])}\nFROM book\nWHERE measured")


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
