"""Reading TimescaleDB or PostgreSQL: its SQL, built from the definitions of the tables, and the pool that runs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.readers.questions import HistoryQuery
from marketpipeline.readers.reading import Count, KeptBack, NewestRecords
from marketpipeline.records import Record
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.store.latest import ENTRIES
from marketpipeline.store.postgres import libpq_options
from marketpipeline.store.rows import JsonRow, iso, record_reader, row_reader
from marketpipeline.store.sqlstate import Verdict, verdict
from marketpipeline.store.tables import Table, table_of

__all__ = ["Statement", "TimescaleReader", "count", "latest", "select"]


@dataclass
class _Door:
    """What the server said to the last that wanted in, and turned away for good; empty when one was let in."""

    refusal: str = ""


class _Connection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """One that notes at the `door` why it was not let in: the pool tells its callers only that there is none."""

    @classmethod
    async def connect(cls, conninfo: str = "", *, door: _Door | None = None, **options: Any) -> Self:  # type: ignore[override]  # the pool hands on what it was given
        door = door or _Door()
        try:
            found = await super().connect(conninfo, **options)
        except psycopg.OperationalError as error:
            door.refusal = _refusal(" ".join(str(error).split()))
            raise
        door.refusal = ""
        return found


def _refusal(said: str) -> str:
    """What the server said, or its client in its place, where waiting does not change it; else nothing."""
    if not any(word in said for word in _REFUSALS):
        return ""
    return (said.partition("FATAL: ")[2] or said.rpartition("failed: ")[2] or said).strip()


_REFUSALS = ("authentication failed", "no password supplied", "not permitted to log in", "pg_hba.conf")
"""Words of a server that waiting does not change."""

_CONNECTIONS = 8
_STATEMENT_TIMEOUT = "10s"
"""How many questions may be asked at once, and how long the server may take for one of them."""

_SYMBOLS_AT_ONCE = 200
_ROWS_AT_ONCE = 5_000

_TABLES = MappingProxyType({name: table_of(kind.table.name) for name, (kind, _) in ENTRIES.items() if kind.table})
"""The table that has the newest record of a kind; quotes have none."""


class Statement(NamedTuple):
    """SQL and the values of its placeholders."""

    sql: Composed
    values: list[Any]


class TimescaleReader:
    """The database. A pool of connections, each checked before it is used, so that its restart costs no question."""

    name = "timescale"

    def __init__(self, store: TimescaleStoreSettings, application: str, patience: float = 2.0) -> None:
        """`patience` is how many seconds a question may wait for a connection."""
        self._pooled = False
        self._door = _Door()
        self._pool: AsyncConnectionPool[_Connection] = AsyncConnectionPool(
            store.url,
            connection_class=_Connection,
            kwargs={
                "door": self._door,
                "password": store.password.get_secret_value() if store.password else None,
                "autocommit": True,
                "connect_timeout": 3,
                "application_name": application,
                **libpq_options(store, store.url),
            },
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=patience,
            max_waiting=256,
            reconnect_timeout=3.0,
            configure=self._configure,
            check=AsyncConnectionPool.check_connection,
            open=False,
            name="database",
        )

    def keeps_newest(self, kind: str) -> bool:
        """Every kind that has a table."""
        base, _, part = kind.partition(":")
        return base in _TABLES and bool(part) == (ENTRIES[base][1].by is not None)

    def keeps_history(self, table: str) -> bool:
        """Every table."""
        return True

    async def open(self) -> None:
        """Begin to connect, in the background."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close its connections."""
        await self._pool.close(timeout=2.0)

    async def check(self) -> int | None:
        """The version of the schema."""
        rows = await self._fetch(Statement(SQL(_VERSION).format(), []))
        return int(rows[0][0])

    async def newest(self, symbols: Sequence[str], kinds: Sequence[str]) -> dict[str, NewestRecords]:
        """The newest of each kind for each symbol, one look-up along the primary key each."""
        asked = [kind for kind in kinds if self.keeps_newest(kind)]
        found: dict[str, NewestRecords] = {symbol: {} for symbol in symbols}
        for kind, records in zip(asked, await asyncio.gather(*(self._latest(k, symbols) for k in asked)), strict=True):
            for record in records:
                found[record.symbol][kind] = record
        return found

    async def seen(self, symbols: Sequence[str]) -> dict[str, int]:
        """As the sink has noted it."""
        rows = await self._fetch(Statement(SQL(_SEEN).format(), [list(symbols)]))
        return {symbol: int(seen) for symbol, seen in rows}

    async def history(self, query: HistoryQuery) -> AsyncIterator[list[JsonRow]]:
        """The rows; more than one batch of them by a cursor of the server's."""
        statement, read = select(query), row_reader(query.table)
        if query.span.limit is not None and query.span.limit <= _ROWS_AT_ONCE:
            if found := await self._fetch(statement):
                yield list(map(read, found))
            return
        async with (
            self._connection() as connection,
            self._transaction(connection),
            connection.cursor(name="history") as cursor,
        ):
            await cursor.execute(statement.sql, statement.values)
            while rows := await cursor.fetchmany(_ROWS_AT_ONCE):
                yield list(map(read, rows))

    async def archived_days(self, table: str) -> frozenset[date]:
        """As the job that archives has noted them."""
        rows = await self._fetch(Statement(SQL(_ARCHIVED).format(), [table]))
        return frozenset(day for (day,) in rows)

    async def kept_back(self) -> list[KeptBack]:
        """As the job that archives has noted them."""
        rows = await self._fetch(Statement(SQL(_KEPT_BACK).format(), []))
        return [KeptBack(table, day, reason, iso(since)) for table, day, reason, since in rows]

    async def count(self, query: HistoryQuery, sums: Sequence[str] = (), *, daily: bool = False) -> list[Count]:
        """Counted row by row, so that a long span of single trades takes its time."""
        rows = await self._fetch(count(query, sums, daily=daily))
        return [
            Count(symbol, day, self.name, number, iso(first), iso(last), dict(zip(sums, found, strict=True)))
            for symbol, day, number, first, last, *found in rows
        ]

    async def holdings(self) -> dict[str, set[str]]:
        """Symbols that the sink has seen, with the candles that there are, and the tables that have a row of theirs."""
        found: dict[str, set[str]] = {}
        for (symbol,) in await self._fetch(Statement(SQL("SELECT symbol FROM symbols").format(), [])):
            found[symbol] = set()
        for symbol, interval in await self._fetch(Statement(SQL(_INTERVALS).format(), [])):
            found.setdefault(symbol, set()).add(f"candle:{interval}")
        for kind in (name for name in _TABLES if ENTRIES[name][1].by is None):
            statement = SQL(_SOME).format(Identifier(_TABLES[kind].name))
            for (symbol,) in await self._fetch(Statement(statement, [])):
                found.setdefault(symbol, set()).add(kind)
        return found

    async def _latest(self, kind: str, symbols: Sequence[str]) -> list[Record]:
        base, _, part = kind.partition(":")
        entry, table = ENTRIES[base][1], _TABLES[base]
        filters = dict(entry.where) | ({entry.by: part} if entry.by else {})
        found: list[Record] = []
        for first in range(0, len(symbols), _SYMBOLS_AT_ONCE):
            statement = latest(table, symbols[first : first + _SYMBOLS_AT_ONCE], filters)
            found += map(record_reader(table), await self._fetch(statement))
        return found

    async def _fetch(self, statement: Statement) -> list[tuple[Any, ...]]:
        async with self._connection() as connection:
            if self._pooled:
                async with self._transaction(connection):
                    return await _all(connection, statement)
            return await _all(connection, statement)

    async def _configure(self, connection: _Connection) -> None:
        """Settings of a new connection; of each transaction where a pooler gives each another one to the server."""
        (pid,) = (await _all(connection, Statement(SQL("SELECT pg_backend_pid()").format(), [])))[0]
        self._pooled = pid != connection.info.backend_pid
        if self._pooled:
            connection.prepare_threshold = None
        else:
            await _set(connection, _SESSION | {"default_transaction_read_only": "on"}, local=False)

    @asynccontextmanager
    async def _transaction(self, connection: _Connection) -> AsyncIterator[None]:
        async with connection.transaction():
            if self._pooled:
                await _set(connection, _SESSION | {"transaction_read_only": "on"}, local=True)
            yield

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Connection]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except PoolTimeout as error:
            if said := self._door.refusal:
                raise RetryableError(f"the database turns this process away: {said}") from error
            raise RetryableError("the database is away or has too much to do") from error
        except psycopg.errors.UndefinedTable as error:
            raise RetryableError("the database has no tables yet: no sink has made them") from error
        except psycopg.errors.QueryCanceled as error:
            raise RetryableError(f"the query took longer than {_STATEMENT_TIMEOUT}; ask for less") from error
        except psycopg.Error as error:
            message = " ".join(str(error).split())
            if error.sqlstate is not None and verdict(error.sqlstate) is Verdict.NEVER:
                raise PermanentError(f"the database does not do what it is asked: {message}") from error
            raise RetryableError(f"the database fails: {message}") from error


_VERSION = "SELECT coalesce(max(version), 0) FROM marketpipeline_migrations"
_SEEN = """
SELECT symbol, extract(epoch FROM seen_at) * 1000000 FROM symbols WHERE symbol = ANY(%s) AND seen_at IS NOT NULL
"""
_ARCHIVED = "SELECT day FROM archived_days WHERE table_name = %s AND restored_until IS NULL"
_KEPT_BACK = "SELECT table_name, day, reason, since FROM kept_back_days ORDER BY day, table_name"
_SOME = "SELECT symbol FROM symbols WHERE EXISTS (SELECT 1 FROM {} AS rows WHERE rows.symbol = symbols.symbol)"
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
SELECT symbol, interval FROM found
"""
"""Jumps along the key from one (symbol, interval) to the next, where DISTINCT would read every candle."""


_SESSION = {"timezone": "UTC", "statement_timeout": _STATEMENT_TIMEOUT}


async def _all(connection: _Connection, statement: Statement) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(statement.sql, statement.values)
    return await cursor.fetchall()


async def _set(connection: _Connection, settings: Mapping[str, str], *, local: bool) -> None:
    calls = SQL(", ").join([SQL("set_config(%s, %s, {})").format(local)] * len(settings))
    await connection.execute(SQL("SELECT ") + calls, [part for setting in settings.items() for part in setting])


def select(query: HistoryQuery) -> Statement:
    """The rows of a query in its order."""
    table, span = query.table, query.span
    where, values = _where(query)
    backwards = query.newest_first or (span.limit is not None and span.since is None)
    statement = SQL("SELECT {} FROM {}").format(_columns(table), Identifier(table.name)) + where
    statement += SQL(" ORDER BY ") + _order(table, descending=backwards)
    if span.limit is not None:
        statement += SQL(" LIMIT %s")
        values.append(span.limit)
    if backwards and not query.newest_first:
        statement = SQL("SELECT * FROM ({}) AS newest ORDER BY ").format(statement) + _order(table, descending=False)
    return Statement(statement, values)


def count(query: HistoryQuery, sums: Sequence[str], *, daily: bool) -> Statement:
    """Symbol, day, rows, first and last time and the sums of a query's rows, in order of days and symbols."""
    types = {column.name: column.type for column in query.table.columns}
    time, (where, values) = _time(query.table), _where(query)
    day = SQL("({} AT TIME ZONE 'UTC')::date").format(time) if daily else SQL("NULL::date")
    measures = [SQL("count(*)"), SQL("min({})").format(time), SQL("max({})").format(time)]
    measures += [SQL("sum({})::" + types[name]).format(Identifier(name)) for name in sums]
    statement = SQL("SELECT symbol, {} AS day, {} FROM {}{} GROUP BY 1, 2 ORDER BY 2, 1")
    return Statement(statement.format(day, SQL(", ").join(measures), Identifier(query.table.name), where), values)


def _where(query: HistoryQuery) -> tuple[Composable, list[Any]]:
    conditions: list[Composable] = []
    values: list[Any] = []
    for name, value in query.filters.items():
        conditions.append(SQL("{} = ANY(%s)" if isinstance(value, list) else "{} = %s").format(Identifier(name)))
        values.append(value)
    for bound, operator in ((query.span.since, ">="), (query.span.until, "<")):
        if bound is not None:
            conditions.append(_time(query.table) + SQL(f" {operator} %s"))
            values.append(bound)
    return SQL(" WHERE ") + SQL(" AND ").join(conditions) if conditions else SQL(""), values


def latest(table: Table, symbols: Sequence[str], filters: Mapping[str, Any] | None = None) -> Statement:
    """The newest row of each symbol, one look-up along the primary key each."""
    filters = filters or {}
    conditions = SQL("").join(SQL(" AND {} = %s").format(Identifier(name)) for name in filters)
    statement = SQL(
        "SELECT newest.* FROM unnest(%s::text[]) AS wanted(name) CROSS JOIN LATERAL"
        " (SELECT {} FROM {} WHERE symbol = wanted.name{} ORDER BY {} LIMIT 1) AS newest"
    ).format(_columns(table), Identifier(table.name), conditions, _order(table, descending=True))
    return Statement(statement, [list(symbols), *filters.values()])


def _columns(table: Table) -> Composed:
    return SQL(", ").join(map(Identifier, table.column_names))


def _time(table: Table) -> Composed:
    """What queries go by; an index of the table is over the same words."""
    if table.query_time is None:
        return SQL("{}").format(Identifier(table.time))
    return SQL("coalesce({}, {})").format(Identifier(table.query_time), Identifier(table.time))


def _order(table: Table, *, descending: bool) -> Composed:
    """By time, then by the rest of the key, so that equal times have an order too."""
    rest = [SQL("{}").format(Identifier(name)) for name in table.key if name not in (table.time, "symbol", "interval")]
    direction = SQL(" DESC") if descending else SQL("")
    return SQL(", ").join(part + direction for part in (_time(table), *rest))
