"""Questions to the lake in SQL, by DataFusion as delta-rs brings it; blocking, and translated like all of its I/O."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, QueryBuilder

from marketpipeline.errors import RetryableError
from marketpipeline.lake.delta import open_table, translated
from marketpipeline.sink_kinds.lake import LakeStoreSettings
from marketpipeline.store.digest import Digest, digest_sql
from marketpipeline.store.lake import LakeTable
from marketpipeline.store.rows import JsonRow
from marketpipeline.store.tables import Table

__all__ = ["Lake", "literal", "moment_sql"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Lake:
    """The tables of a lake, each opened with the first question and then brought up to date with every other.

    Several threads may ask; a table is brought up to date by one of them at a time.
    """

    def __init__(self, store: LakeStoreSettings) -> None:
        self.store = store
        self._tables: dict[str, DeltaTable] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def table(self, table: LakeTable) -> DeltaTable | None:
        """A table as it is now, None where nothing has made it. Raises RetryableError, PermanentError."""
        with self._locks[table.name]:
            return self._opened(table)

    def _opened(self, table: LakeTable) -> DeltaTable | None:
        held = self._tables.get(table.name)
        if held is None:
            held = open_table(self.store, table)
            if held is not None:
                self._tables[table.name] = held
            return held
        with translated(self.store):
            held.update_incremental()
        return held

    def ask(self, table: LakeTable, statement: str) -> Iterator[pa.RecordBatch]:
        """The answer to a statement about a table, which is `t` in it, batch by batch. Raises as `table`."""
        found = self.table(table)
        if found is None:
            return
        with translated(self.store):
            for batch in QueryBuilder().register("t", found).execute(statement):
                yield pa.record_batch(batch)

    def one(self, table: LakeTable, statement: str) -> list[dict[str, Any]]:
        """A small answer, whole."""
        return [row for batch in self.ask(table, statement) for row in batch.to_pylist()]

    def days(self, table: LakeTable, exchanges: Collection[str] | None = None) -> dict[date, int]:
        """How many rows each day has, of some exchanges or of all, by the log alone."""
        found = self.table(table)
        if found is None:
            return {}
        days: dict[date, int] = {}
        actions = pa.table(found.get_add_actions(flatten=True))
        for file in actions.select(["partition.day", "partition.exchange", "num_records"]).to_pylist():
            if exchanges is not None and file["partition.exchange"] not in exchanges:
                continue
            days[file["partition.day"]] = days.get(file["partition.day"], 0) + int(file["num_records"])
        return days

    def digest(self, table: LakeTable, day: date) -> Digest:
        """Of the rows of a day: count and sums by the texts of the key."""
        texts, statement = digest_sql(table, "CAST({} AS BIGINT)")
        found = self.one(table, f"{statement} FROM t WHERE day = DATE '{day}' {texts}")
        return {tuple(list(row.values())[:-3]): tuple(int(v) for v in list(row.values())[-3:]) for row in found}

    def check(self) -> None:
        """Raise RetryableError where no table of the lake can be read."""
        from marketpipeline.store.lake import lake_table

        if self.table(lake_table("trades")) is None:
            raise RetryableError("the lake has no tables yet: no sink has made them")


def moment_sql(table: LakeTable) -> str:
    """What queries go by."""
    return table.kind.time if table.query_time is None else f"coalesce({table.query_time}, {table.kind.time})"


def literal(value: Any) -> str:
    """A value in SQL."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return f"arrow_cast({(value - _EPOCH) // timedelta(microseconds=1)}, 'Timestamp(Microsecond, Some(\"UTC\"))')"
    if isinstance(value, date):
        return f"DATE '{value}'"
    return "'" + str(value).replace("'", "''") + "'"


def json_rows(batch: pa.RecordBatch, table: Table) -> list[JsonRow]:
    """The rows in their JSON form: times as text, made by columns."""
    columns = {}
    for column in table.columns:
        values = batch.column(column.name)
        if column.is_time:
            fine = values.cast(pa.timestamp("s" if column.is_window_edge else "us", "UTC"))
            values = pc.binary_join_element_wise(pc.strftime(fine, "%Y-%m-%dT%H:%M:%S"), "Z", "")
        columns[column.name] = values.to_pylist()
    names: Sequence[str] = table.column_names
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
