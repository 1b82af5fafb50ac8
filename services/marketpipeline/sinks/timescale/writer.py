"""Rows of one table into the database by COPY, as an upsert on the natural key.

COPY cannot upsert. A table whose rows are written once per key (trades, book metrics) gets them by COPY straight
into it, within a savepoint: a repetition after a restart fails on the key, is rolled back and goes the other
way, as rows of the tables that are replaced (candles, alerts) always do: COPY into a temporary table, then one
INSERT … ON CONFLICT DO UPDATE. The straight way is twice as fast (docs/decisions/0050).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from psycopg import errors
from psycopg.sql import SQL, Composed, Identifier, Literal

from marketpipeline.record_kinds import Rank
from marketpipeline.records import Record
from marketpipeline.sinks.timescale.connection import Connection
from marketpipeline.store import Table

__all__ = ["TableWriter", "upsert"]

_POSTGRES_EPOCH = 946_684_800_000_000
"""2000-01-01 in microseconds since 1970: a timestamptz is on the wire a count of microseconds since then."""

_WIRE_TYPES = {"text": "text", "bigint": "int8", "double precision": "float8", "boolean": "bool", "timestamptz": "int8"}

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""What stands for NUL in the database, whose texts cannot hold it; on the topic and in the cache it stays as it is."""

_CAREFUL_BATCHES = 50
"""Batches that go by the staging table after a repetition was met, since more of them are likely to follow."""


class TableWriter:
    """Writes into one table over one connection; the caller holds the transaction."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._values = attrgetter(*table.column_names)
        self._key = attrgetter(*table.key)
        self._times = [index for index, column in enumerate(table.columns) if column.is_time]
        self._texts = [index for index, column in enumerate(table.columns) if column.is_free_text]
        self._wire_types = [_WIRE_TYPES[column.type] for column in table.columns]
        self._staging = f"staging_{table.name}"
        self._copy_direct = _copy(table, table.name)
        self._copy_staging = _copy(table, self._staging)
        self._upsert = upsert(table, self._staging)
        self._careful = 0

    def prepare(self, connection: Connection) -> None:
        """Make what a new connection lacks: its own temporary table, unless each transaction has to have one."""
        if not connection.pooled:
            self._create_staging(connection, SQL("PRESERVE ROWS"))

    def write(self, connection: Connection, records: Sequence[Record]) -> int:
        """Upsert records of this table and return how many rows that made; of equal keys the last counts."""
        rows = self._without_repetitions(records)
        if self.table.rank is None and self._careful == 0:
            try:
                with connection.transaction():
                    self._copy(connection, self._copy_direct, rows)
            except errors.UniqueViolation:
                self._careful = _CAREFUL_BATCHES
            else:
                return len(rows)
        self._careful = max(0, self._careful - 1)
        if connection.pooled:
            self._create_staging(connection, SQL("DROP"))
        self._copy(connection, self._copy_staging, rows)
        connection.execute(self._upsert)
        if not connection.pooled:
            connection.execute(SQL("TRUNCATE {}").format(Identifier(self._staging)))
        return len(rows)

    def _create_staging(self, connection: Connection, on_commit: SQL) -> None:
        """A temporary table of the same columns and types."""
        connection.execute(
            SQL("CREATE TEMPORARY TABLE {} ON COMMIT {} AS SELECT {} FROM {} WITH NO DATA").format(
                Identifier(self._staging), on_commit, _columns(self.table), Identifier(self.table.name)
            )
        )

    def _without_repetitions(self, records: Sequence[Record]) -> list[Record]:
        """One record a key, since one INSERT must not touch a row twice."""
        key, rank = self._key, self.table.rank
        if rank is None:
            return list({key(record): record for record in records}.values())
        newest: dict[Any, Record] = {}
        for record in records:
            held = newest.get(key(record))
            if held is None or rank.of(record) >= rank.of(held):
                newest[key(record)] = record
        return list(newest.values())

    def _copy(self, connection: Connection, statement: Composed, records: Iterable[Record]) -> None:
        values, times, texts = self._values, self._times, self._texts
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(self._wire_types)
            for record in records:
                row = list(values(record))
                for index in times:
                    if row[index] is not None:
                        row[index] -= _POSTGRES_EPOCH
                for index in texts:
                    if row[index] is not None and "\0" in row[index]:
                        row[index] = row[index].replace("\0", _REPLACEMENT)
                copy.write_row(row)


def _columns(table: Table) -> Composed:
    return SQL(", ").join(map(Identifier, table.column_names))


def _copy(table: Table, target: str) -> Composed:
    return SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(Identifier(target), _columns(table))


def upsert(table: Table, staging: str) -> Composed:
    """From another table of the same columns: a row that is there gives way only to one of no lower rank."""
    replaced = [Identifier(name) for name in table.column_names if name not in table.key]
    statement = SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT ({}) DO UPDATE SET {}").format(
        Identifier(table.name),
        _columns(table),
        _columns(table),
        Identifier(staging),
        SQL(", ").join(map(Identifier, table.key)),
        SQL(", ").join(SQL("{} = EXCLUDED.{}").format(name, name) for name in replaced),
    )
    if table.rank is None:
        return statement
    new, held = (_rank(table.rank, Identifier(name)) for name in ("excluded", table.name))
    return statement + SQL(" WHERE ({}) >= ({})").format(new, held)


def _rank(rank: Rank, row: Identifier) -> Composed:
    """The measures of a row, to be compared with another's as PostgreSQL compares rows: from left to right."""
    found = []
    for measure in rank.measures:
        value = SQL("{}.{}").format(row, Identifier(measure.column))
        if measure.stages:
            stages = SQL(", ").join(map(Literal, measure.stages))
            value = SQL("array_position(ARRAY[{}], {})").format(stages, value)
        found.append(value)
    return SQL(", ").join(found)
