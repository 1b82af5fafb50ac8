"""Patterns: sequences of alerts on one symbol, which are alerts of their own.

The alerts of the book and those of trades meet in one function, symbol by symbol, and with them the patterns in force,
which come in the topic of thresholds: so a changed pattern restarts nothing. Alerts whose SQL comes with a plugin go to
their topic only, and take part in no pattern.
"""

from __future__ import annotations

from marketpipeline.settings import JobSettings
from marketpipeline.topics import Feed, TopicKind

from marketpipeline_job.alerts.row import found
from marketpipeline_job.ddl import sink, source
from marketpipeline_job.functions import PATTERN_RULES, call
from marketpipeline_job.sql import Script, View

__all__ = ["patterns"]

_FOUND = {Feed.BOOK: "book_found", Feed.TRADES: "trades_found"}


def patterns(settings: JobSettings) -> Script:
    """What the rules of book and trades have found to alerts of patterns."""
    views = (_opened(settings), View("patterns_found", call(PATTERN_RULES, "opened_alerts", {}, by_symbol=True)))
    return Script(
        tables=(source(settings, TopicKind.THRESHOLDS), sink(settings, TopicKind.ALERTS)),
        functions=(PATTERN_RULES,),
        views=views,
        inserts=(found("patterns_found"),),
    )


def _opened(settings: JobSettings) -> View:
    """What AlertEvent.ROW names, in its order: alerts when they open, and the changes of patterns among them."""
    names = ("event_time", "receive_time", "process_time", "id", "rule", "side")
    fields = ", ".join(f"f.alert.{name} AS {name}" for name in names)
    parts = [
        f"SELECT symbol, {fields}, CAST(NULL AS STRING) AS patterns\nFROM {view} AS f\nWHERE f.alert.opens"
        for feed, view in _FOUND.items()
        if feed in settings.feeds
    ]
    parts.append(
        "SELECT symbol, effective_from, effective_from, effective_from, CAST(NULL AS STRING), CAST(NULL AS STRING),\n"
        "    CAST(NULL AS STRING), COALESCE(patterns, '')\n"
        "FROM thresholds\nWHERE v = 1 AND symbol IS NOT NULL AND `values` IS NOT NULL"
    )
    return View("opened_alerts", "\nUNION ALL\n".join(parts))
