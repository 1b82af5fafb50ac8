"""Calls of the functions that state and rules are written in: Java, in `flink-jobs/java` (docs/decisions/0130).

A process table function takes a table and gives a table. Those of the rules are given all rows of a symbol, in the
order of its partition, with what they have kept of it; each row that comes out holds one record, in a column of its
name.
"""

from __future__ import annotations

from collections.abc import Mapping

from marketpipeline.schema import microseconds
from marketpipeline.settings import JobSettings

from marketpipeline_job.sql import View, lines

__all__ = [
    "BOOK_RULES",
    "PATTERN_RULES",
    "TRADE_RULES",
    "call",
    "limits",
    "text",
    "widths",
    "with_thresholds",
]

_PACKAGE = "dev.marketpipeline.flink"


def _function(name: str, java: str) -> str:
    return f"CREATE TEMPORARY SYSTEM FUNCTION {name} AS '{_PACKAGE}.{java}' LANGUAGE JAVA"


BOOK_RULES = _function("rules_of_book", "book.BookRules")
TRADE_RULES = _function("rules_of_trades", "trades.TradeRules")
PATTERN_RULES = _function("rules_of_patterns", "patterns.PatternRules")


def call(statement: str, table: str, arguments: Mapping[str, str], *, by_symbol: bool) -> str:
    """A query of all that a function, named by the statement that makes it, gives for a table."""
    name = statement.split()[4]
    first = f"TABLE {table} PARTITION BY symbol" if by_symbol else f"TABLE {table}"
    given = {"input": first, **arguments} | ({"uid": text(name)} if by_symbol else {})
    listed = ", ".join(f"`{argument}` => {value}" for argument, value in given.items())
    return f"SELECT *\nFROM {name}({listed})"


def with_thresholds(view: str, rows: str, fields: Mapping[str, tuple[str, str]], where: str = "TRUE") -> View:
    """Rows of a symbol, by name, expression and type of each column, and the changes of its thresholds among them.

    The column `limits` is null in the first and holds all thresholds of the symbol in the second, which has no other.
    """
    events = [
        *(f"{value} AS {name}" for name, (value, _) in fields.items()),
        "CAST(NULL AS MAP<STRING, DOUBLE>) AS limits",
    ]
    changes = ["symbol", *(f"CAST(NULL AS {kind})" for _, kind in list(fields.values())[1:]), "`values`"]
    return View(
        view,
        f"SELECT\n{lines(events)}\nFROM {rows}\nWHERE {where}\nUNION ALL\n"
        f"SELECT\n{lines(changes)}\nFROM thresholds\nWHERE v = 1 AND symbol IS NOT NULL AND `values` IS NOT NULL",
    )


def text(value: str) -> str:
    """A literal."""
    return "'" + value.replace("'", "''") + "'"


def limits(settings: JobSettings) -> str:
    """What rules are told before a symbol's own thresholds are read, as a literal."""
    return text(",".join(f"{name}={number!r}" for name, number in settings.thresholds.items()))


def widths(settings: JobSettings) -> str:
    """The windows that are asked for and how long each is in microseconds, as a literal."""
    return text(",".join(f"{window}={microseconds(window)}" for window in settings.windows))
