"""What is gathered between two batches: of each key the furthest record, of the book its samples."""

from __future__ import annotations

import io
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from marketpipeline.records import BookMetrics, Record
from marketpipeline.schema import microseconds
from marketpipeline.sinks.base import Delivery, Place, RowsRejected
from marketpipeline.store import Column, Table
from marketpipeline.store.snowflake import EXTREMES, Period

__all__ = ["Held", "Samples"]

_EARLIEST, _LATEST = -2_208_988_800_000_000, 253_402_300_799_999_999
"""1900 to 9999, what every client of the warehouse can read."""
_INTEGERS = -(1 << 63), (1 << 63) - 1
_ARROW = {"text": pa.string(), "bigint": pa.int64(), "double precision": pa.float64(), "boolean": pa.bool_()}


class Held:
    """The rows of one table. `places` are the partitions that any of them came from."""

    extremes: tuple[str, ...] = ()

    def __init__(self, table: Table) -> None:
        self.table = table
        self._key = attrgetter(*table.key)
        self.places: set[Place] = set()
        self._rows: dict[Any, tuple[Place, Record]] = {}
        self._limits = [(attrgetter(c.name), c, *_bounds(c)) for c in self._checked if c.type != "text"]
        self._texts = [(attrgetter(c.name), c) for c in self._checked if c.type == "text"]

    @property
    def _checked(self) -> list[Column]:
        """The columns whose values may be more than they can hold."""
        given = set(self.table.record.__struct_fields__)
        return [c for c in self.table.columns if c.name in given and c.type in ("text", "bigint", "timestamptz")]

    @property
    def rows(self) -> int:
        """How many rows are held."""
        return len(self._rows)

    def check(self, deliveries: Sequence[Delivery]) -> None:
        """Raise RowsRejected for a value that its column cannot hold."""
        records = [delivery.record for delivery in deliveries]
        for value, column, least, most in self._limits:
            given = [found for found in map(value, records) if found is not None]
            if given and not (least <= min(given) and max(given) <= most):
                what = "a time that is not from 1900 to 9999" if column.is_time else "a number of more than 64 bits"
                raise RowsRejected(f"{self.table.name}.{column.name}: {what}")
        for value, column in self._texts:
            try:
                "".join(filter(None, map(value, records))).encode()
            except UnicodeEncodeError as error:
                raise RowsRejected(f"{self.table.name}.{column.name}: {error}") from error

    def take(self, deliveries: Sequence[Delivery]) -> None:
        """Hold what `check` has found to be right."""
        rank = self.table.rank
        self.places |= {(delivery.topic, delivery.partition) for delivery in deliveries}
        for delivery in deliveries:
            key = self._key(delivery.record)
            held = self._rows.get(key)
            if held is None or rank is None or rank.of(delivery.record) >= rank.of(held[1]):
                self._rows[key] = ((delivery.topic, delivery.partition), delivery.record)

    def lose(self, places: set[Place]) -> None:
        """Let go of the rows of partitions that are another member's now."""
        self.places -= places
        self._rows = {key: held for key, held in self._rows.items() if held[0] not in places}

    def clear(self) -> None:
        """They are in the warehouse."""
        self.places, self._rows = set(), {}

    def columns(self) -> dict[str, list[Any]]:
        """The values of what is held, by column."""
        records = [record for _, record in self._rows.values()]
        return {name: list(map(attrgetter(name), records)) for name in self.table.column_names}

    def parquet(self) -> tuple[bytes, tuple[int, int]]:
        """What is held as a file, sorted as the table is clustered, and its first and last time."""
        fields = [pa.field(column.name, _ARROW.get(column.type, pa.int64())) for column in self.table.columns]
        rows = pa.table(self.columns(), schema=pa.schema(fields))
        rows = rows.sort_by([(name, "ascending") for name in dict.fromkeys(("symbol", self.table.time))])
        file = io.BytesIO()
        pq.write_table(rows, file, compression="zstd")
        times = rows.column(self.table.time).to_numpy()
        return file.getvalue(), (int(times.min()), int(times.max()))


def _bounds(column: Column) -> tuple[int, int]:
    return (_EARLIEST, _LATEST) if column.is_time else _INTEGERS


class Samples(Held):
    """The same of book metrics: of each window the last ones and the extremes, whatever order they come in."""

    extremes = EXTREMES

    def __init__(self, table: Table, every: Period) -> None:
        super().__init__(table)
        self._interval, self._length = every, microseconds(every)
        self._samples: dict[tuple[str, int], _Sample] = {}

    @property
    def _checked(self) -> list[Column]:
        given = set(BookMetrics.__struct_fields__)
        return [c for c in self.table.columns if c.name in given and c.type in ("text", "bigint", "timestamptz")]

    @property
    def rows(self) -> int:
        """How many samples are held."""
        return len(self._samples)

    def take(self, deliveries: Sequence[Delivery]) -> None:
        """Bring each record into the sample of its window."""
        length, samples = self._length, self._samples
        self.places |= {(delivery.topic, delivery.partition) for delivery in deliveries}
        for delivery in deliveries:
            record: Any = delivery.record
            key = (record.symbol, record.event_time // length)
            sample = samples.get(key)
            if sample is None:
                samples[key] = _Sample((delivery.topic, delivery.partition), record)
            else:
                sample.add(record)

    def lose(self, places: set[Place]) -> None:
        """Let go of the samples of partitions that are another member's now."""
        self.places -= places
        self._samples = {key: sample for key, sample in self._samples.items() if sample.place not in places}

    def clear(self) -> None:
        """They are in the warehouse."""
        self.places, self._samples = set(), {}

    def columns(self) -> dict[str, list[Any]]:
        """The values of the samples, by column."""
        held = list(self._samples.values())
        times = [number * self._length for _, number in self._samples]
        found = {name: list(map(attrgetter(name), [s.last for s in held])) for name in BookMetrics.__struct_fields__}
        found |= {"interval": [self._interval] * len(held), "open_time": times}
        found["close_time"] = [time + self._length for time in times]
        for number, measure in enumerate(EXTREMES):
            found[f"lowest_{measure}"] = [sample.lowest[number] for sample in held]
            found[f"highest_{measure}"] = [sample.highest[number] for sample in held]
        return {name: found[name] for name in self.table.column_names}


_measures = attrgetter(*EXTREMES)


class _Sample:
    __slots__ = ("highest", "last", "lowest", "place")

    def __init__(self, place: Place, record: Any) -> None:
        self.place, self.last = place, record
        self.lowest = self.highest = _measures(record)

    def add(self, record: Any) -> None:
        last = self.last
        if (record.event_time, record.update_id) >= (last.event_time, last.update_id):
            self.last = record
        values = _measures(record)
        if values != self.lowest or values != self.highest:
            self.lowest = tuple(map(min, self.lowest, values))
            self.highest = tuple(map(max, self.highest, values))
