"""What is gathered for one table of the lake until a file is worth writing, in as little memory as it takes.

Rows of a log (trades, book metrics) become columns at once. Of a table whose rows are replaced (candles, alerts) only
the furthest record of each key is kept: a candle that forms is one row, not one an update.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import pyarrow as pa

from marketpipeline.lake.delta import arrow_type, schema_of
from marketpipeline.records import Record
from marketpipeline.sinks.base import Delivery, RowsRejected
from marketpipeline.sinks.source import Offsets, Place
from marketpipeline.store.lake import LakeTable

__all__ = ["Held"]

_RECORD_BYTES = 800
"""Of a record as an object, with its key and place, as measured of candles."""


class Held:
    """The rows of one table. `reached` is by partition of the topic the offset after its last row here."""

    def __init__(self, table: LakeTable) -> None:
        self.table = table
        self.schema = schema_of(table)
        self.reached: Offsets = {}
        self.since: float | None = None
        self._made_of = [(attrgetter(column.name), arrow_type(column)) for column in table.columns]
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
        """Records as columns, one after the other: a tuple a row would set off the collector of cycles.

        Raises RowsRejected for a value that its column cannot hold.
        """
        places = list(map(self.table.place_of, records))
        try:
            found = [
                pa.array([exchange for exchange, _ in places], pa.string()),
                pa.array([day for _, day in places], pa.int32()).cast(pa.date32()),
            ]
            found += [pa.array(list(map(value, records)), kind) for value, kind in self._made_of]
        except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
            raise RowsRejected(" ".join(str(error).split())) from error
        return pa.record_batch(found, schema=self.schema)

    def check(self, deliveries: Sequence[Delivery]) -> list[tuple[Place, pa.RecordBatch]]:
        """The rows as columns, a batch a partition of the topic; nothing is held yet. Raises RowsRejected."""
        by_place: dict[Place, list[Record]] = {}
        for delivery in deliveries:
            by_place.setdefault((delivery.topic, delivery.partition), []).append(delivery.record)
        return [(place, self.columns_of(records)) for place, records in by_place.items()]

    def take(self, deliveries: Sequence[Delivery], columns: Sequence[tuple[Place, pa.RecordBatch]]) -> None:
        """Hold what `check` has found to be right."""
        if self.since is None:
            self.since = time.monotonic()
        is_log, reached = self.table.is_log, self.reached
        for delivery in deliveries:
            place = (delivery.topic, delivery.partition)
            if delivery.offset >= reached.get(place, 0):
                reached[place] = delivery.offset + 1
            if not is_log:
                self._keep(place, delivery.record)
        if is_log:
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


def _without_repetitions(rows: pa.Table, key: Sequence[str]) -> pa.Table:
    """Of sorted rows with equal keys, which follow one another, the last."""
    import pyarrow.compute as pc

    if rows.num_rows < 2:
        return rows
    same = None
    for name in key:
        column = rows.column(name).combine_chunks()
        equal = pc.equal(column.slice(0, len(column) - 1), column.slice(1))
        same = equal if same is None else pc.and_(same, equal)
    keep = pa.concat_arrays([pc.invert(same), pa.array([True])])
    return rows.filter(keep)
