"""Reading the lake: the history that the database has given up, by DataFusion over its Delta tables.

It keeps nothing of now, so it is asked for the history only. The engine blocks: questions run in threads. Rows of a log
are read a day at a time, so that a long answer is sorted in little memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, date, timedelta

from marketpipeline.lake.asking import Lake, json_rows, literal, moment_sql
from marketpipeline.readers.reading import Coverage, HistoryQuery, NewestRecords, Span
from marketpipeline.sink_kinds.lake import LakeStoreSettings
from marketpipeline.store.lake import LakeTable, lake_table
from marketpipeline.store.rows import JsonRow, iso
from marketpipeline.store.tables import TABLES, Table

__all__ = ["LakeReader", "select"]

_DAYS_AT_ONCE = 31
_NAMES = frozenset(table.name for table in TABLES)


class LakeReader:
    """The archive."""

    name = "lake"

    def __init__(self, store: LakeStoreSettings, application: str, patience: float = 2.0) -> None:
        """As every reader's; delta-rs has bounds of its own."""
        self._lake = Lake(store)
        self._one_at_a_time = asyncio.Lock()

    def keeps_newest(self, kind: str) -> bool:
        """Nothing: what it has is up to an hour old."""
        return False

    def keeps_history(self, table: str) -> bool:
        """Every table of the database, and more."""
        return table in _NAMES

    async def open(self) -> None:
        """Tables are opened with the first question."""

    async def close(self) -> None:
        """Nothing is connected."""

    async def check(self) -> int | None:
        """Whether its tables can be read."""
        await asyncio.to_thread(self._lake.check)
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
        async with self._one_at_a_time:
            days = sorted(await asyncio.to_thread(self._lake.days, table))
            for first, last in _stretches(days, query.span, 1 if table.is_log else _DAYS_AT_ONCE, backwards=backwards):
                rows = await asyncio.to_thread(self._rows, table, query, (first, last), left, backwards)
                left = None if left is None else left - len(rows)
                if backwards and not query.newest_first:
                    gathered += rows
                elif rows:
                    yield rows
                if left == 0:
                    break
        if gathered:
            yield gathered[::-1]

    def _rows(
        self, table: LakeTable, query: HistoryQuery, days: tuple[date, date], limit: int | None, backwards: bool
    ) -> list[JsonRow]:
        statement = select(table, query, days, limit, backwards=backwards)
        return [row for batch in self._lake.ask(table, statement) for row in json_rows(batch, query.table)]

    async def coverage(self, table: Table, symbols: Sequence[str], span: Span) -> list[Coverage]:
        """Rows, first and last of each symbol and day."""
        wanted, moment = lake_table(table.name), moment_sql(lake_table(table.name))
        conditions = [f"symbol IN ({', '.join(map(literal, symbols)) or 'NULL'})"]
        conditions += [f"day >= {literal(span.since.date())}"] if span.since else []
        conditions += [f"day <= {literal(span.until.date())}"] if span.until else []
        statement = (
            f"SELECT symbol, day, count(*) AS rows, min({moment}) AS first, max({moment}) AS last FROM t"
            f" WHERE {' AND '.join(conditions)} GROUP BY symbol, day ORDER BY day, symbol"
        )
        found = await asyncio.to_thread(self._lake.one, wanted, statement)
        return [
            Coverage(row["symbol"], row["day"], self.name, row["rows"], iso(row["first"]), iso(row["last"]))
            for row in found
        ]


def _stretches(days: Sequence[date], span: Span, length: int, *, backwards: bool) -> Iterator[tuple[date, date]]:
    """The days that there are in a span, first and last of each stretch, in the order in which they are read."""
    first = span.since.astimezone(UTC).date() if span.since else date.min
    last = (span.until.astimezone(UTC) - timedelta(microseconds=1)).date() if span.until else date.max
    wanted = [day for day in days if first <= day <= last]
    stretches = [wanted[begin : begin + length] for begin in range(0, len(wanted), length)]
    if backwards:
        wanted.reverse()
        stretches = [wanted[begin : begin + length][::-1] for begin in range(0, len(wanted), length)]
    yield from ((stretch[0], stretch[-1]) for stretch in stretches)


def select(
    table: LakeTable, query: HistoryQuery, days: tuple[date, date], limit: int | None, *, backwards: bool
) -> str:
    """The rows of a stretch of days, in the order in which they are read."""
    moment = moment_sql(table)
    first, last = days
    conditions = [f"day >= {literal(first)}", f"day <= {literal(last)}"]
    symbol = query.filters.get("symbol")
    if isinstance(symbol, str):
        conditions.append(f"exchange = {literal(symbol.partition(':')[0])}")
    for name, value in query.filters.items():
        values = value if isinstance(value, list) else [value]
        conditions.append(f'"{name}" IN ({", ".join(map(literal, values))})')
    if query.span.since is not None:
        conditions.append(f"{moment} >= {literal(query.span.since)}")
    if query.span.until is not None:
        conditions.append(f"{moment} < {literal(query.span.until)}")
    direction = " DESC" if backwards else ""
    rest = [f'"{name}"' for name in query.table.key if name not in (query.table.time, "symbol", "interval")]
    order = ", ".join(part + direction for part in (moment, *rest))
    columns = ", ".join(f'"{name}"' for name in query.table.column_names)
    statement = f"SELECT {columns} FROM t WHERE {' AND '.join(conditions)} ORDER BY {order}"
    return statement if limit is None else f"{statement} LIMIT {limit}"
