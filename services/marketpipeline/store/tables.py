"""The tables of the history: their columns follow from the records, their natural keys make every write an upsert.

Which kinds of record have one, and how it is laid out, is in `record_kinds`. The numbered migrations of the sink
create them; a test holds those against the definitions here. Times are `timestamptz`, prices and quantities
`double precision`, ids and counts `bigint`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from types import MappingProxyType, NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from marketpipeline import records
from marketpipeline.record_kinds import KINDS, Rank, TableLayout
from marketpipeline.records import times
from marketpipeline.topics import TopicKind

__all__ = ["TABLES", "TIMESCALE_TOPICS", "Column", "SqlType", "Table", "table_of"]

SqlType = Literal["text", "bigint", "double precision", "boolean", "timestamptz"]

_SQL_TYPES: dict[type, SqlType] = {str: "text", int: "bigint", float: "double precision", bool: "boolean"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column and the record's field of the same name.

    `is_window_edge`: a candle's beginning or end, always a whole second. `is_free_text`: text that others write, as the
    reason that an exchange gives for closing a connection; it may hold any character.
    """

    name: str
    type: SqlType
    nullable: bool
    is_window_edge: bool = field(default=False, compare=False)
    is_free_text: bool = field(default=False, compare=False)

    @property
    def is_time(self) -> bool:
        """Whether the field holds microseconds since the epoch and the column a time."""
        return self.type == "timestamptz"


@dataclass(frozen=True, kw_only=True)
class Table(TableLayout):
    """One table: the layout and, of its kind of record, what a table needs.

    `key` is the natural key; it holds `time` where the table may be a hypertable. A table without `rank` is written
    once per key, but for repetitions.
    """

    record: type[records.Record]
    topic: TopicKind
    key: tuple[str, ...]
    time: str
    rank: Rank | None

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The record's fields but its version, in their order."""
        hints = get_type_hints(self.record)
        return tuple(self._column(name, hints[name]) for name in self.record.__struct_fields__ if name != "v")

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """Names of `columns`."""
        return tuple(column.name for column in self.columns)

    def key_of(self, record: records.Record) -> tuple[Any, ...]:
        """The values of a record's natural key."""
        return tuple(getattr(record, name) for name in self.key)

    def _column(self, name: str, hint: Any) -> Column:
        nullable = NoneType in get_args(hint)
        if unit := times(self.record).get(name):
            return Column(name, "timestamptz", nullable, is_window_edge=unit == "seconds")
        options = [option for option in get_args(hint) or (hint,) if option is not NoneType]
        if get_origin(hint) is Literal:
            return Column(name, _SQL_TYPES[type(options[0])], nullable)
        return Column(name, _SQL_TYPES[options[0]], nullable, is_free_text=options[0] is str and name != "symbol")


TABLES = tuple(
    Table(record=kind.record, topic=kind.topic, key=kind.key, time=kind.time, rank=kind.rank, **asdict(kind.table))
    for kind in KINDS
    if kind.table is not None
)
"""Every table."""

TIMESCALE_TOPICS = frozenset(table.topic for table in TABLES)
"""The topics that the sink into TimescaleDB reads."""

_BY_NAME = MappingProxyType({table.name: table for table in TABLES})


def table_of(name: str) -> Table:
    """A table by its name. Raises KeyError."""
    return _BY_NAME[name]
