"""The tables of the lake: one for each kind of record that is worth keeping, derived from `record_kinds`.

    <url>/<table>/exchange=<exchange>/day=<UTC day>/part-….parquet

A table has the columns of its record, of the same names and in the same order, after the two that it is partitioned by.
Beside the tables of the database there are two that only a lake has the room for: `book` and `quotes`, every update.
Times are `timestamp` in UTC with microseconds, levels a list of {price, quantity}.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType, NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from marketpipeline.record_kinds import KINDS, Rank, RecordKind, Writer
from marketpipeline.records import times

__all__ = ["LAKE_TABLES", "LAKE_TOPICS", "LakeColumn", "LakeTable", "lake_table"]

LakeType = Literal["text", "integer", "number", "flag", "time", "levels", "numbers"]
_TYPES: dict[Any, LakeType] = {str: "text", int: "integer", float: "number", bool: "flag"}


@dataclass(frozen=True, slots=True)
class LakeColumn:
    """A field of the record. All but the ones of the key may be null, so that a later release may add some."""

    name: str
    type: LakeType


@dataclass(frozen=True)
class LakeTable:
    """One table. `kind` says what a row is, which rows are the same, and which of two that are stays."""

    kind: RecordKind

    @property
    def name(self) -> str:
        """The database's name for it where that has one, else the topic's."""
        return self.kind.table.name if self.kind.table else self.kind.topic.value.replace("-", "_")

    @property
    def key(self) -> tuple[str, ...]:
        """The natural key."""
        return self.kind.key

    @property
    def rank(self) -> Rank | None:
        """Which of two rows of a key is further on."""
        return self.kind.rank

    @property
    def is_log(self) -> bool:
        """Whether rows are written once, in order of time, but for repetitions; else a row of a key is replaced."""
        return self.rank is None and self.kind.time in self.key

    @property
    def query_time(self) -> str | None:
        """What queries go by where a row has it, before `time`."""
        return self.kind.table.query_time if self.kind.table else None

    @cached_property
    def columns(self) -> tuple[LakeColumn, ...]:
        """The record's fields but its version, in their order."""
        hints = get_type_hints(self.kind.record)
        return tuple(
            LakeColumn(name, self._type(name, hints[name]))
            for name in self.kind.record.__struct_fields__
            if name != "v"
        )

    def _type(self, name: str, hint: Any) -> LakeType:
        if name in times(self.kind.record):
            return "time"
        if get_origin(hint) is Literal:
            return _TYPES[type(get_args(hint)[0])]
        shape = (
            next(option for option in get_args(hint) if option is not NoneType) if NoneType in get_args(hint) else hint
        )
        if get_origin(shape) is list:
            return "numbers" if get_args(shape)[0] is float else "levels"
        return _TYPES[shape]

    @cached_property
    def order(self) -> tuple[str, ...]:
        """What the rows of a file are sorted by."""
        return tuple(dict.fromkeys(("symbol", self.kind.time, *self.key)))


LAKE_TABLES = tuple(
    LakeTable(kind) for kind in KINDS if kind.archived and (kind.table or kind.writer is Writer.INGESTION)
)
"""Every table of the lake. What the platform and everyone writes (thresholds, dead letters) is not market data."""

LAKE_TOPICS = frozenset(table.kind.topic for table in LAKE_TABLES)
"""The topics that the sink into the lake reads."""

_BY_NAME = MappingProxyType({table.name: table for table in LAKE_TABLES})


def lake_table(name: str) -> LakeTable:
    """A table by its name. Raises KeyError."""
    return _BY_NAME[name]
