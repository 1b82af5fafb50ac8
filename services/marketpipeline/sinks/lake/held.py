"""What is gathered for one table of the lake until a file is worth writing, in as little memory as it takes.

Rows of a log (trades, book metrics) become columns at once. Of a table whose rows are replaced (candles, alerts) only
the furthest record of each key is kept: a candle that forms is one row, not one an update.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from marketpipeline.lake.delta import arrow_type, schema_of
from marketpipeline.records import Record
from marketpipeline.sinks.base import Delivery, RowsRejected
from marketpipeline.sinks.source import Offsets, Place
from marketpipeline.store.lake import LakeTable, LakeType

__all__ = ["Held"]

_RECORD_BYTES = 800
"""Of a record as an object, with its key and place, as measured of candles."""

_PACKED = {"number": "d", "integer": "q", "time": "q"}
"""What is laid in memory as Arrow has it: `struct` does that in less than half of the time that Arrow takes."""


class Held:
    """The rows of one table. `reached` is by partition of the topic the offset after its last row here."""

    def __init__(self, table: LakeTable) -> None:
        self.table = table
        self.schema = schema_of(table)
        self.reached: Offsets = {}
        self.since: float | None = None
        fields = table.kind.record.__struct_fields__
        self._width = len(fields)
        self._made_of = [(column, arrow_type(column), fields.index(column.name)) for column in table.columns]
        self._key = attrgetter(*table.key)
        self._columns: list[tuple[Place, pa.RecordBatch]] = []
        self._newest: dict[Any, tuple[Place, Record]] = {}
        self._bytes = 0

    @property
    def rows(self) -> int:
        """How many rows are held."""
        return sum(int(batch.num_rows) for _, batch in self._columns) + len(self._newest)

    @property
    def bytes(self) -> int:
        """About how much memory they take."""
        return self._bytes + len(self._newest) * _RECORD_BYTES

    def columns_of(self, records: Sequence[Record]) -> pa.RecordBatch:
        """Records as columns, with those of the partition.

        All values are one list, of which a column is every so many: kept as a tuple a row they would set off the
        collector of cycles. Raises RowsRejected for a value that its column cannot hold.
        """
        values, width = list(chain.from_iterable(map(msgspec.structs.astuple, records))), self._width
        try:
            found = {
                column.name: _column(column.type, type_, values[position::width])
                for column, type_, position in self._made_of
            }
            partition = self._partition(found)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
            raise RowsRejected(" ".join(str(error).split())) from error
        return pa.record_batch([*partition, *found.values()], schema=self.schema)

    def _partition(self, columns: Mapping[str, pa.Array]) -> tuple[pa.Array, pa.Array]:
        """Exchange and UTC day of each row."""
        symbols = columns["symbol"].dictionary_encode()
        exchanges = pa.array([symbol.partition(":")[0] for symbol in symbols.dictionary.to_pylist()], pa.string())
        moments, preferred = columns[self.table.kind.time], self.table.query_time
        if preferred is not None:
            moments = pc.coalesce(columns[preferred], moments)
        # As the number that it is: for a time zone Arrow wants the system's files, which a slim image lacks.
        return exchanges.take(symbols.indices), moments.view(pa.timestamp("us")).cast(pa.date32())

    def check(self, deliveries: Mapping[Place, Sequence[Delivery]]) -> list[tuple[Place, pa.RecordBatch]]:
        """The rows as columns, a batch a partition of the topic; nothing is held yet. Raises RowsRejected."""
        return [(place, self.columns_of([row.record for row in rows])) for place, rows in deliveries.items()]

    def take(
        self, deliveries: Mapping[Place, Sequence[Delivery]], columns: Sequence[tuple[Place, pa.RecordBatch]]
    ) -> None:
        """Hold what `check` has found to be right."""
        if self.since is None:
            self.since = time.monotonic()
        for place, rows in deliveries.items():
            self.reached[place] = max(self.reached.get(place, 0), max(row.offset for row in rows) + 1)
            if not self.table.is_log:
                for row in rows:
                    self._keep(place, row.record)
        if self.table.is_log:
            self._columns += columns
            self._bytes += sum(batch.nbytes for _, batch in columns)

    def _keep(self, place: Place, record: Record) -> None:
        key, rank = self._key(record), self.table.rank
        held = self._newest.get(key)
        if held is None or rank is None or rank.of(record) >= rank.of(held[1]):
            self._newest[key] = (place, record)

    def lose(self, places: set[Place]) -> None:
        """Let go of the rows of partitions that are another member's now."""
        self._columns = [(place, batch) for place, batch in self._columns if place not in places]
        self._bytes = sum(batch.nbytes for _, batch in self._columns)
        self._newest = {key: kept for key, kept in self._newest.items() if kept[0] not in places}
        self.reached = {place: offset for place, offset in self.reached.items() if place not in places}

    def rows_to_write(self) -> pa.Table:
        """All of them, sorted as the files are, of the rows of a log each once."""
        batches = [batch for _, batch in self._columns]
        if self._newest:
            batches.append(self.columns_of([record for _, record in self._newest.values()]))
        found = pa.Table.from_batches(batches, self.schema)
        found = found.sort_by([(name, "ascending") for name in self.table.order])
        return _without_repetitions(found, self.table.key) if self.table.is_log else found

    def clear(self) -> None:
        """They are in the lake."""
        self._columns, self._newest, self._bytes = [], {}, 0
        self.reached, self.since = {}, None


def _column(kind: LakeType, type_: pa.DataType, values: Sequence[Any]) -> pa.Array:
    """The values of a field of the record. Raises ArrowException, OverflowError, UnicodeEncodeError."""
    if code := _PACKED.get(kind):
        try:
            packed = pa.py_buffer(struct.pack(f"{len(values)}{code}", *values))
        except struct.error:  # there is a null, or what is no number of 64 bits
            return pa.array(values, type_)
        return pa.Array.from_buffers(type_, len(values), [None, packed])
    return pa.array(values, type_)


def _without_repetitions(rows: pa.Table, key: Sequence[str]) -> pa.Table:
    """Of sorted rows with equal keys, which follow one another, the last."""
    if rows.num_rows < 2:
        return rows
    same = None
    for name in key:
        column = rows.column(name).combine_chunks()
        equal = pc.equal(column.slice(0, len(column) - 1), column.slice(1))
        same = equal if same is None else pc.and_(same, equal)
    if not pc.any(same).as_py():
        return rows
    keep = pa.concat_arrays([pc.invert(same), pa.array([True])])
    return rows.filter(keep)
