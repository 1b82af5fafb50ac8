"""Reading the history over one plain connection: what the command line's `query` shows."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import psycopg

from marketpipeline.api.arguments import Arguments
from marketpipeline.api.rows import JsonRow, row_reader
from marketpipeline.api.statements import select
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.store import table_of

__all__ = ["WHAT", "What", "columns_of", "query"]

What = Literal["candles", "book", "trades", "alerts", "gaps", "events"]
WHAT: dict[What, str] = {
    "candles": "candles",
    "book": "book_metrics",
    "trades": "trades",
    "alerts": "alerts",
    "gaps": "feed_events",
    "events": "feed_events",
}
"""What can be asked for, and the table that has it. `gaps` are the feed events that name what is missing."""

_ROWS_AT_ONCE = 5_000

_INTERVALS = """
WITH RECURSIVE found (symbol, interval) AS (
    (SELECT symbol, "interval" FROM candles ORDER BY symbol, "interval" LIMIT 1)
    UNION ALL
    SELECT next.* FROM found CROSS JOIN LATERAL (
        SELECT candles.symbol, candles."interval" FROM candles
        WHERE (candles.symbol, candles."interval") > (found.symbol, found.interval)
        ORDER BY candles.symbol, candles."interval" LIMIT 1
    ) AS next
)
SELECT DISTINCT interval FROM found
"""
"""Jumps along the key from one (symbol, interval) to the next, where DISTINCT would read every candle."""


def columns_of(what: What) -> tuple[str, ...]:
    """The names of what a row has, in their order."""
    return table_of(WHAT[what]).column_names


def query(
    dsn: str,
    what: What,
    symbol: str,
    interval: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int | None = None,
    *,
    symbols: Sequence[str] = (),
    windows: Sequence[str] = (),
) -> Generator[JsonRow]:
    """Rows of one symbol in order of time, streamed; without a limit all, with one as `statements.select` says.

    `dsn` is a PostgreSQL URL. Of `symbols` and `windows` that the caller knows to exist there need be no rows. The
    arguments are as a user typed them. Raises InvalidQuery that names each wrong one, PermanentError where there
    is no history, RetryableError where the database is away.
    """
    table = table_of(WHAT[what])
    with _connected(dsn) as connection:
        arguments = Arguments("query", prefix="--")
        filters: dict[str, Any] = {"symbol": arguments.symbol(symbol, _known_symbols(connection, symbols), "SYMBOL")}
        if what == "candles":
            wanted = "1m" if interval is None else interval
            filters["interval"] = arguments.choice("interval", wanted, _known_windows(connection, windows))
        if what == "gaps":
            filters["kind"] = "gap"
        span = arguments.span(since, until, limit)
        arguments.check()
        statement, read = select(table, filters, span), row_reader(table)
        with connection.cursor(name="query") as cursor:
            cursor.itersize = _ROWS_AT_ONCE
            for row in cursor.execute(statement.sql, statement.values):
                yield read(row)


def _known_symbols(connection: psycopg.Connection[Any], given: Sequence[str]) -> list[str]:
    rows = connection.execute("SELECT symbol FROM symbols").fetchall()
    return sorted({symbol for (symbol,) in rows} | set(given))


def _known_windows(connection: psycopg.Connection[Any], given: Sequence[str]) -> list[str]:
    rows = connection.execute(_INTERVALS).fetchall()
    return sorted({interval for (interval,) in rows} | set(given))


@contextmanager
def _connected(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        with psycopg.connect(dsn, connect_timeout=5, application_name="marketpipeline-query") as connection:
            connection.read_only = True
            connection.execute("SET timezone = 'UTC'")
            yield connection
    except psycopg.errors.UndefinedTable as error:
        raise PermanentError("nothing is stored here yet: no sink has made its tables") from error
    except psycopg.OperationalError as error:
        raise RetryableError(f"the database is away: {' '.join(str(error).split())}") from error
    except psycopg.Error as error:
        raise PermanentError(f"the database does not do what it is asked: {' '.join(str(error).split())}") from error
