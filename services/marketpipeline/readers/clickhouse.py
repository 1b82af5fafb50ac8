"""Reading ClickHouse: its SQL, built from the definitions of the tables, and the client that runs it.

The client blocks, so questions are asked in threads, a few at once. A history is read with `FINAL`, so that of the rows
of one key the truest counts however far merges are; a newest record is looked for backwards along the tables' order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError
from urllib3.exceptions import HTTPError

from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.readers.questions import HistoryQuery
from marketpipeline.readers.reading import Count, NewestRecords
from marketpipeline.records import Record
from marketpipeline.sink_kinds.clickhouse import ClickHouseStoreSettings
from marketpipeline.store.clickhouse import SYMBOLS, VERSION, client_options, verdict
from marketpipeline.store.latest import ENTRIES
from marketpipeline.store.rows import JsonRow, iso, record_reader, row_reader
from marketpipeline.store.sqlstate import Verdict
from marketpipeline.store.tables import Table, table_of

__all__ = ["ClickHouseReader", "Statement", "count", "latest", "select"]

T = TypeVar("T")

_QUESTIONS_AT_ONCE = 8
_STATEMENT_SECONDS = 10
_SYMBOLS_AT_ONCE = 100
_ROWS_AT_ONCE = 5_000
_NO_TABLE, _TOO_SLOW = 60, 159

_TABLES = MappingProxyType({name: table_of(kind.table.name) for name, (kind, _) in ENTRIES.items() if kind.table})
"""The table that has the newest record of a kind; quotes have none."""


class Statement(NamedTuple):
    """SQL and the values of its placeholders."""

    sql: str
    values: dict[str, Any]


class ClickHouseReader:
    """The database. A client is made with the first question, and again after the server was away."""

    name = "clickhouse"

    def __init__(self, store: ClickHouseStoreSettings, application: str, patience: float = 2.0) -> None:
        """`patience` is how many seconds a question may wait for a connection."""
        self._options = client_options(store, timeout=_STATEMENT_SECONDS + 5)
        self._options |= {
            "connect_timeout": max(1, round(patience)),
            "client_name": application,
            "tz_mode": "aware",
            "settings": {"max_execution_time": _STATEMENT_SECONDS, "readonly": 2},
        }
        self._client: Client | None = None
        self._threads = ThreadPoolExecutor(_QUESTIONS_AT_ONCE, thread_name_prefix="clickhouse")

    def keeps_newest(self, kind: str) -> bool:
        """Every kind that has a table."""
        base, _, part = kind.partition(":")
        return base in _TABLES and bool(part) == (ENTRIES[base][1].by is not None)

    def keeps_history(self, table: str) -> bool:
        """Every table."""
        return True

    async def open(self) -> None:
        """Nothing: the first question connects."""

    async def close(self) -> None:
        """Close its connections."""
        client, self._client = self._client, None
        if client is not None:
            await asyncio.to_thread(client.close)
        self._threads.shutdown(wait=False)

    async def check(self) -> int | None:
        """It has no version: its tables follow from the records."""
        await self._fetch(Statement(f"SELECT count() FROM {SYMBOLS}", {}))
        return None

    async def newest(self, symbols: Sequence[str], kinds: Sequence[str]) -> dict[str, NewestRecords]:
        """The newest of each kind for each symbol, one look-up along the tables' order each."""
        asked = [kind for kind in kinds if self.keeps_newest(kind)]
        found: dict[str, NewestRecords] = {symbol: {} for symbol in symbols}
        for kind, records in zip(asked, await asyncio.gather(*(self._latest(k, symbols) for k in asked)), strict=True):
            for record in records:
                found[record.symbol][kind] = record
        return found

    async def seen(self, symbols: Sequence[str]) -> dict[str, int]:
        """As the sink has noted it."""
        statement = f"SELECT symbol, toUnixTimestamp64Micro(seen_at) AS at FROM {SYMBOLS} FINAL"
        where = " WHERE symbol IN {symbols:Array(String)} AND at > 0"
        rows = await self._fetch(Statement(statement + where, {"symbols": list(symbols)}))
        return {symbol: int(seen) for symbol, seen in rows}

    async def history(self, query: HistoryQuery) -> AsyncIterator[list[JsonRow]]:
        """The rows, as the server sends them."""
        statement, read = select(query), row_reader(query.table)
        if query.span.limit is not None and query.span.limit <= _ROWS_AT_ONCE:
            if found := await self._fetch(statement):
                yield list(map(read, found))
            return
        blocks = await self._ask(partial(_stream, statement))
        try:
            while (block := await self._run(lambda: _next(blocks))) is not None:
                for first in range(0, len(block), _ROWS_AT_ONCE):
                    yield list(map(read, block[first : first + _ROWS_AT_ONCE]))
        finally:
            await self._run(blocks.close)

    async def count(self, query: HistoryQuery, sums: Sequence[str] = (), *, daily: bool = False) -> list[Count]:
        """Counted with `FINAL`, as a history is read."""
        rows = await self._fetch(count(query, sums, daily=daily))
        return [
            Count(
                symbol, day if daily else None, self.name, number, iso(first), iso(last),
                dict(zip(sums, found, strict=True)),
            )
            for symbol, day, number, first, last, *found in rows
        ]  # fmt: skip

    async def holdings(self) -> dict[str, set[str]]:
        """Symbols that the sink has seen, with the candles that there are, and the tables that have a row of theirs."""
        found: dict[str, set[str]] = {}
        for (symbol,) in await self._fetch(Statement(f"SELECT DISTINCT symbol FROM {SYMBOLS}", {})):
            found[symbol] = set()
        for symbol, interval in await self._fetch(Statement("SELECT DISTINCT symbol, interval FROM candles", {})):
            found.setdefault(symbol, set()).add(f"candle:{interval}")
        for kind in (name for name in _TABLES if ENTRIES[name][1].by is None):
            for (symbol,) in await self._fetch(Statement(f"SELECT DISTINCT symbol FROM {_TABLES[kind].name}", {})):
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

    async def _fetch(self, statement: Statement) -> list[Sequence[Any]]:
        return await self._ask(lambda client: list(client.query(statement.sql, statement.values).result_rows))

    async def _ask(self, question: Callable[[Client], T]) -> T:
        return await self._run(lambda: question(self._connected()))

    async def _run(self, work: Callable[[], T]) -> T:
        """Do it in a thread. Raises RetryableError, PermanentError."""

        def translated() -> T:
            with self._translated():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._threads, translated)

    def _connected(self) -> Client:
        if self._client is None:
            self._client = clickhouse_connect.get_client(**self._options)
        return self._client

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            message = " ".join(str(error).split())
            if error.code == _NO_TABLE:
                raise RetryableError("ClickHouse has no tables yet: no sink has made them") from error
            if error.code == _TOO_SLOW:
                raise RetryableError(f"the query took longer than {_STATEMENT_SECONDS} s; ask for less") from error
            if verdict(error.code) is Verdict.NEVER:
                raise PermanentError(f"ClickHouse does not do what it is asked: {message}") from error
            self._leave()
            raise RetryableError(f"ClickHouse is away or fails: {message}") from error
        except (ClickHouseError, HTTPError) as error:
            self._leave()
            raise RetryableError(f"ClickHouse is away: {' '.join(str(error).split())}") from error

    def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(ClickHouseError, HTTPError, OSError):
                client.close()


def _stream(statement: Statement, client: Client) -> Any:
    return _blocks(client, statement)


def _blocks(client: Client, statement: Statement) -> Iterator[list[Sequence[Any]]]:
    with client.query_row_block_stream(statement.sql, statement.values) as stream:
        yield from stream


def _next(blocks: Iterator[T]) -> T | None:
    return next(blocks, None)


def select(query: HistoryQuery) -> Statement:
    """The rows of a query in its order."""
    table, span = query.table, query.span
    rows, values = _rows_of(query)
    backwards = query.newest_first or (span.limit is not None and span.since is None)
    sql = f"SELECT {_columns(table)} FROM {rows} ORDER BY {_order(table, descending=backwards)}"
    if span.limit is not None:
        sql += f" LIMIT {span.limit}"
    if backwards and not query.newest_first:
        sql = f"SELECT * FROM ({sql}) ORDER BY {_order(table, descending=False)}"
    return Statement(f"{sql} {_settings(table)}", values)


def count(query: HistoryQuery, sums: Sequence[str], *, daily: bool) -> Statement:
    """Symbol, day, rows, first and last time and the sums of a query's rows, in order of days and symbols."""
    rows, values = _rows_of(query)
    time = _time(query.table)
    day = f"toDate({time}, 'UTC')" if daily else "toDate(0)"
    measures = ", ".join(["count()", f"min({time})", f"max({time})", *(f"sum(`{name}`)" for name in sums)])
    sql = f"SELECT symbol, {day} AS of_day, {measures} FROM {rows} GROUP BY symbol, of_day ORDER BY of_day, symbol"
    return Statement(f"{sql} {_settings(query.table)}", values)


def _rows_of(query: HistoryQuery) -> tuple[str, dict[str, Any]]:
    """The table, each row once, with the conditions of a query."""
    types = {column.name: column.type for column in query.table.columns}
    conditions, values = [], {}
    for number, (name, value) in enumerate(query.filters.items()):
        type_ = _PARAMETERS[types[name]]
        comparison = f"IN {{f{number}:Array({type_})}}" if isinstance(value, list) else f"= {{f{number}:{type_}}}"
        conditions.append(f"`{name}` {comparison}")
        values[f"f{number}"] = value
    for name, bound, operator in (("since", query.span.since, ">="), ("until", query.span.until, "<")):
        if bound is not None:
            moment = f"fromUnixTimestamp64Micro({{{name}:Int64}}, 'UTC')"
            conditions.append(f"{_time(query.table)} {operator} {moment}")
            values[name] = _microseconds(bound)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"{query.table.name} FINAL{where}", values


def _settings(table: Table) -> str:
    """Rows of one key are in one partition where the time is in the key."""
    return f"SETTINGS do_not_merge_across_partitions_select_final = {int(table.time in table.key)}"


def latest(table: Table, symbols: Sequence[str], filters: Mapping[str, Any] | None = None) -> Statement:
    """The newest row of each symbol, of equal keys that of the highest rank; one look-up along the order each."""
    types = {column.name: column.type for column in table.columns}
    conditions = "".join(f" AND `{name}` = {{{name}:{_PARAMETERS[types[name]]}}}" for name in filters or {})
    first = [name for name in table.key if name in table.segment]
    order = [*first, table.time, *(name for name in table.key if name not in (*first, table.time))]
    order += [VERSION] if table.rank else []
    backwards = ", ".join(f"`{name}` DESC" for name in order)
    of_one = f"SELECT {_columns(table)} FROM {table.name} WHERE symbol = {{%s:String}}{conditions}"
    of_one = f"SELECT * FROM ({of_one} ORDER BY {backwards} LIMIT 1)"
    sql = " UNION ALL ".join(of_one.replace("%s", f"s{number}") for number in range(len(symbols)))
    return Statement(sql, {f"s{number}": symbol for number, symbol in enumerate(symbols)} | dict(filters or {}))


_PARAMETERS = MappingProxyType(
    {
        "text": "String",
        "bigint": "Int64",
        "double precision": "Float64",
        "boolean": "Bool",
        "timestamptz": "DateTime64(6)",
    }
)


def _columns(table: Table) -> str:
    return ", ".join(f"`{name}`" for name in table.column_names)


def _time(table: Table) -> str:
    """What queries go by."""
    return f"`{table.time}`" if table.query_time is None else f"coalesce(`{table.query_time}`, `{table.time}`)"


def _order(table: Table, *, descending: bool) -> str:
    """By time, then by the rest of the key, so that equal times have an order too."""
    rest = [f"`{name}`" for name in table.key if name not in (table.time, "symbol", "interval")]
    return ", ".join(f"{part}{' DESC' if descending else ''}" for part in (_time(table), *rest))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _microseconds(moment: datetime) -> int:
    elapsed = moment - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds
