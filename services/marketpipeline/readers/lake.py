"""Reading the lake: the history that the database has given up, by DataFusion over its Delta tables.

It keeps nothing of now, so it is asked for the history only. The engine blocks: questions run in threads of its own, a
few at once, since each holds the rows that it sorts. Rows of a log are read a day at a time, so that a long answer is
sorted in little memory. Exchange and day are named in every statement: files of others are not opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, timedelta
from typing import TypeVar

from marketpipeline.lake.asking import Lake, json_rows, literal, moment_sql
from marketpipeline.readers.questions import HistoryQuery, Span
from marketpipeline.readers.reading import Count, NewestRecords
from marketpipeline.sink_kinds.lake import LakeStoreSettings
from marketpipeline.store.lake import LakeTable, lake_table
from marketpipeline.store.rows import JsonRow, iso
from marketpipeline.store.tables import TABLES

__all__ = ["LakeReader", "count", "select"]

T = TypeVar("T")

_DAYS_AT_ONCE = 31
_QUESTIONS_AT_ONCE = 4
"""Each takes the memory of the rows that it sorts, and the engine uses every core for each by itself."""
_NAMES = frozenset(table.name for table in TABLES)


class LakeReader:
    """The archive."""

    name = "lake"

    def __init__(self, store: LakeStoreSettings, application: str, patience: float = 2.0) -> None:
        """As every reader's; delta-rs has bounds of its own."""
        self._lake = Lake(store)
        self._threads = ThreadPoolExecutor(_QUESTIONS_AT_ONCE, thread_name_prefix="lake")

    def keeps_newest(self, kind: str) -> bool:
        """Nothing: what it has is up to an hour old."""
        return False

    def keeps_history(self, table: str) -> bool:
        """Every table of the database, and more."""
        return table in _NAMES

    async def open(self) -> None:
        """Tables are opened with the first question."""

    async def close(self) -> None:
        """Nothing is connected; what is being read is read to its end."""
        self._threads.shutdown(wait=False)

    async def check(self) -> int | None:
        """Whether its tables can be read."""
        await self._run(self._lake.check)
        return None

    async def newest(self, symbols: Sequence[str], kinds: Sequence[str]) -> dict[str, NewestRecords]:
        """None."""
        return {symbol: {} for symbol in symbols}

    async def seen(self, symbols: Sequence[str]) -> dict[str, int]:
        """It does not know."""
        return {}

    async def holdings(self) -> dict[str, set[str]]:
        """Not told: the stores before it know the symbols."""
        return {}

    async def history(self, query: HistoryQuery) -> AsyncIterator[list[JsonRow]]:
        """The rows, a stretch of days at a time."""
        table = lake_table(query.table.name)
        left = query.span.limit
        backwards = query.newest_first or (left is not None and query.span.since is None)
        gathered: list[JsonRow] = []
        days = sorted(await self._run(lambda: self._lake.days(table, _exchanges(query))))
        for stretch in _stretches(days, query.span, 1 if table.is_log else _DAYS_AT_ONCE, backwards=backwards):
            statement = select(table, query, stretch, left, backwards=backwards)
            rows = await self._run(lambda asked=statement: self._rows(table, query, asked))  # type: ignore[misc]
            left = None if left is None else left - len(rows)
            if backwards and not query.newest_first:
                gathered += rows
            elif rows:
                yield rows
            if left == 0:
                break
        if gathered:
            yield gathered[::-1]

    def _rows(self, table: LakeTable, query: HistoryQuery, statement: str) -> list[JsonRow]:
        return [row for batch in self._lake.ask(table, statement) for row in json_rows(batch, query.table)]

    async def count(self, query: HistoryQuery, sums: Sequence[str] = (), *, daily: bool = False) -> list[Count]:
        """Counted by the engine, without a row leaving it."""
        table = lake_table(query.table.name)
        found = await self._run(lambda: self._lake.one(table, count(table, query, sums, daily=daily)))
        return [
            Count(
                row["symbol"], row["day"] if daily else None, self.name, row["n"], iso(row["first"]), iso(row["last"]),
                {name: row[f"sum_{name}"] for name in sums},
            )
            for row in found
        ]  # fmt: skip

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _stretches(days: Sequence[date], span: Span, length: int, *, backwards: bool) -> Iterator[tuple[date, date]]:
    """The days that there are in a span, first and last of each stretch, in the order in which they are read."""
    first, last = _days_of(span)
    wanted = [day for day in days if (first or date.min) <= day <= (last or date.max)]
    stretches = [wanted[begin : begin + length] for begin in range(0, len(wanted), length)]
    if backwards:
        wanted.reverse()
        stretches = [wanted[begin : begin + length][::-1] for begin in range(0, len(wanted), length)]
    yield from ((stretch[0], stretch[-1]) for stretch in stretches)


def _days_of(span: Span) -> tuple[date | None, date | None]:
    """The first and the last day that a span touches."""
    last = span.until and (span.until.astimezone(UTC) - timedelta(microseconds=1)).date()
    return span.since and span.since.astimezone(UTC).date(), last


def select(
    table: LakeTable, query: HistoryQuery, days: tuple[date, date], limit: int | None, *, backwards: bool
) -> str:
    """The rows of a stretch of days, in the order in which they are read."""
    direction = " DESC" if backwards else ""
    rest = [f'"{name}"' for name in query.table.key if name not in (query.table.time, "symbol", "interval")]
    order = ", ".join(part + direction for part in (moment_sql(table), *rest))
    columns = ", ".join(f'"{name}"' for name in query.table.column_names)
    statement = f"SELECT {columns} FROM t{_where(table, query, *days)} ORDER BY {order}"
    return statement if limit is None else f"{statement} LIMIT {limit}"


def count(table: LakeTable, query: HistoryQuery, sums: Sequence[str], *, daily: bool) -> str:
    """Symbol, day, rows, first and last time and the sums of a query's rows, in order of days and symbols."""
    moment, places = moment_sql(table), "day, symbol" if daily else "symbol"
    measures = [f"count(*) AS n, min({moment}) AS first, max({moment}) AS last"]
    measures += [f'sum("{name}") AS "sum_{name}"' for name in sums]
    where = _where(table, query, *_days_of(query.span))
    return f"SELECT {places}, {', '.join(measures)} FROM t{where} GROUP BY {places} ORDER BY {places}"


def _where(table: LakeTable, query: HistoryQuery, first: date | None, last: date | None) -> str:
    """The conditions of a query and, since they name the files that are opened, its exchanges and days."""
    moment = moment_sql(table)
    conditions = [f"day >= {literal(first)}"] if first else []
    conditions += [f"day <= {literal(last)}"] if last else []
    if (exchanges := _exchanges(query)) is not None:
        conditions.append(f"exchange IN ({', '.join(map(literal, sorted(exchanges))) or 'NULL'})")
    for name, value in query.filters.items():
        values = value if isinstance(value, list) else [value]
        conditions.append(f'"{name}" IN ({", ".join(map(literal, values)) or "NULL"})')
    if query.span.since is not None:
        conditions.append(f"{moment} >= {literal(query.span.since)}")
    if query.span.until is not None:
        conditions.append(f"{moment} < {literal(query.span.until)}")
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _exchanges(query: HistoryQuery) -> frozenset[str] | None:
    """The exchanges of the symbols that are asked for; None for all."""
    symbols = query.filters.get("symbol")
    if symbols is None:
        return None
    return frozenset(symbol.partition(":")[0] for symbol in ([symbols] if isinstance(symbols, str) else symbols))
