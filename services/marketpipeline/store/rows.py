"""Rows and records as JSON: the fields' own names, times as ISO 8601 in UTC with a `Z`.

Times have six decimals; the start and end of a candle are whole seconds and have none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any

from marketpipeline.records import Record, times
from marketpipeline.store.tables import Table

__all__ = ["JsonRow", "iso", "json_of", "record_of", "record_reader", "row_reader"]

JsonRow = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def iso(moment: datetime, *, whole_seconds: bool = False) -> str:
    """A time in UTC as text."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="seconds" if whole_seconds else "microseconds")[:-6] + "Z"


def row_reader(table: Table) -> Callable[[Sequence[Any]], JsonRow]:
    """A function from a row of a table's columns, in their order, to its JSON form."""
    names = table.column_names
    times = [(index, column.is_window_edge) for index, column in enumerate(table.columns) if column.is_time]

    def read(row: Sequence[Any]) -> JsonRow:
        values = list(row)
        for index, whole_seconds in times:
            if values[index] is not None:
                values[index] = iso(values[index], whole_seconds=whole_seconds)
        return dict(zip(names, values, strict=True))

    return read


def record_reader(table: Table) -> Callable[[Sequence[Any]], Record]:
    """A function from a row of a table's columns, in their order, to the record that it was made of."""
    names, kind = table.column_names, table.record
    times = [index for index, column in enumerate(table.columns) if column.is_time]

    def read(row: Sequence[Any]) -> Record:
        values = list(row)
        for index in times:
            if values[index] is not None:
                values[index] = (values[index] - _EPOCH) // _MICROSECOND
        return kind(**dict(zip(names, values, strict=True)))

    return read


def json_of(record: Record) -> JsonRow:
    """A record's JSON form; the same as that of its row."""
    names, values, moments = _form(type(record))
    found = dict(zip(names, values(record), strict=True))
    for name, whole_seconds in moments:
        if found[name] is not None:
            second, microsecond = divmod(found[name], 1_000_000)
            found[name] = f"{_second(second)}Z" if whole_seconds else f"{_second(second)}.{microsecond:06}Z"
    return found


@cache
def _form(kind: type[Record]) -> tuple[tuple[str, ...], Callable[[Record], Any], list[tuple[str, bool]]]:
    """The fields of a kind of record, what reads them, and which are times, with whether of whole seconds."""
    names = tuple(name for name in kind.__struct_fields__ if name != "v")
    return names, attrgetter(*names), [(name, unit == "seconds") for name, unit in times(kind).items()]


@lru_cache(maxsize=4_096)
def _second(number: int) -> str:
    """A second since 1970; records that are read together are of few."""
    return (_EPOCH + timedelta(seconds=number)).isoformat(timespec="seconds")[:-6]


def record_of(table: Table, row: JsonRow) -> Record:
    """The record of a row's JSON form: what `json_of` was made from."""
    values = dict(row)
    for column in table.columns:
        if column.is_time and (text := values[column.name]) is not None:
            values[column.name] = (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    return table.record(**values)
