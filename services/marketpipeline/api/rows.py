"""Rows and records as JSON: the fields' own names, times as ISO 8601 in UTC with a `Z`.

Times have six decimals; the begin and end of a candle are whole seconds and have none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec

from marketpipeline.records import Record
from marketpipeline.store import Table

__all__ = ["JsonRow", "iso", "json_of", "row_reader"]

JsonRow = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE_SECONDS = ("open_time", "close_time")


def iso(moment: datetime, *, whole_seconds: bool = False) -> str:
    """A time in UTC as text."""
    text = moment.astimezone(UTC).isoformat(timespec="seconds" if whole_seconds else "microseconds")
    return text.replace("+00:00", "Z")


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


def json_of(record: Record) -> JsonRow:
    """A record's JSON form; the same as that of its row."""
    found: JsonRow = {}
    for name, is_time in _fields(type(record)):
        value = getattr(record, name)
        if is_time and value is not None:
            value = iso(_EPOCH + timedelta(microseconds=value), whole_seconds=name in _WHOLE_SECONDS)
        found[name] = value
    return found


@cache
def _fields(kind: type[Record]) -> tuple[tuple[str, bool], ...]:
    names = [field.name for field in msgspec.structs.fields(kind) if field.name != "v"]
    return tuple((name, name.endswith(("_time", "_at")) or name == "clock") for name in names)
