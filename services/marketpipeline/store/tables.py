"""The tables of the history: their columns follow from the records, their natural keys make every write an upsert.

The numbered migrations of the sink create them; a test holds those against the definitions here. Times are
`timestamptz`, prices and quantities `double precision`, ids and counts `bigint`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType, NoneType
from typing import Any, Literal, get_args, get_origin

import msgspec

from marketpipeline import records
from marketpipeline.topics import TopicKind

__all__ = ["TABLES", "TIMESCALE_TOPICS", "Column", "Rank", "RetentionGroup", "SqlType", "Table", "table_of"]

SqlType = Literal["text", "bigint", "double precision", "boolean", "timestamptz"]
RetentionGroup = Literal["trades", "book", "candles", "alerts", "events"]

_SQL_TYPES: dict[type, SqlType] = {str: "text", int: "bigint", float: "double precision", bool: "boolean"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column and the record's field of the same name."""

    name: str
    type: SqlType
    nullable: bool

    @property
    def is_time(self) -> bool:
        """Whether the field holds microseconds since the epoch and the column a time."""
        return self.type == "timestamptz"

    @property
    def is_window_edge(self) -> bool:
        """Whether it is the begin or end of a candle, so always a whole second."""
        return self.name in ("open_time", "close_time")


@dataclass(frozen=True, slots=True)
class Rank:
    """Stages of a row that only go forward: a row in a later stage is never replaced by one in an earlier.

    A replay after a restart sends early stages again; a closed candle or alert must not open again by that.
    """

    column: str
    stages: tuple[Any, ...]

    def of(self, record: records.Record) -> int:
        """The stage of a record, from 0."""
        return self.stages.index(getattr(record, self.column))


@dataclass(frozen=True)
class Table:
    """One table.

    `key` is the natural key. `time` is the column that retention and queries go by; with `chunk_days` the
    table is a hypertable over it where TimescaleDB is there, and `time` is part of the key. Queries go by
    `query_time` instead where a table names one, and by `time` in the rows that lack it. `segment` are the
    columns that compressed rows are grouped by. A table without `rank` is written once per key, but for
    repetitions.
    """

    name: str
    record: type[records.Record]
    topic: TopicKind
    key: tuple[str, ...]
    time: str
    group: RetentionGroup
    chunk_days: int | None = None
    segment: tuple[str, ...] = ("symbol",)
    rank: Rank | None = None
    query_time: str | None = None

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The record's fields but its version, in their order."""
        fields = msgspec.structs.fields(self.record)
        return tuple(_column(field.name, field.type) for field in fields if field.name != "v")

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """Names of `columns`."""
        return tuple(column.name for column in self.columns)

    def key_of(self, record: records.Record) -> tuple[Any, ...]:
        """The values of a record's natural key."""
        return tuple(getattr(record, name) for name in self.key)


def _column(name: str, annotation: Any) -> Column:
    options = [option for option in get_args(annotation) or (annotation,) if option is not NoneType]
    nullable = NoneType in get_args(annotation)
    if get_origin(annotation) is Literal:
        options, nullable = [type(options[0])], False
    sql_type = _SQL_TYPES[options[0]]
    if sql_type == "bigint" and (name.endswith(("_time", "_at")) or name == "clock"):
        sql_type = "timestamptz"
    return Column(name, sql_type, nullable)


_CLOSED = Rank("closed", (False, True))
_BY_INTERVAL = ("symbol", "interval", "open_time")

TABLES = (
    Table("trades", records.Trade, TopicKind.TRADES, ("symbol", "trade_time", "trade_id"), "trade_time", "trades", 1),
    Table("agg_trades", records.AggTrade, TopicKind.AGG_TRADES, ("symbol", "trade_time", "agg_trade_id"),
          "trade_time", "trades", 1),
    Table("late_trades", records.LateTrade, TopicKind.LATE, ("symbol", "trade_time", "trade_id"),
          "trade_time", "trades", 30),
    Table("book_metrics", records.BookMetrics, TopicKind.BOOK_METRICS, ("symbol", "event_time", "update_id"),
          "event_time", "book", 1),
    Table("tickers", records.Ticker, TopicKind.TICKERS, ("symbol", "receive_time"), "receive_time", "book", 1),
    Table("candles", records.Candle, TopicKind.CANDLES, _BY_INTERVAL, "open_time", "candles", 30,
          ("symbol", "interval"), _CLOSED),
    Table("exchange_candles", records.ExchangeCandle, TopicKind.EXCHANGE_CANDLES, _BY_INTERVAL, "open_time", "candles",
          30, ("symbol", "interval"), _CLOSED),
    Table("alerts", records.Alert, TopicKind.ALERTS, ("id",), "started_at", "alerts",
          rank=Rank("status", ("open", "escalated", "closed"))),
    Table("feed_events", records.FeedEvent, TopicKind.EVENTS, ("id",), "receive_time", "events",
          query_time="event_time"),
)  # fmt: skip
"""Every table. Alerts and feed events are ordinary tables: they are few, and their key has no time in it."""

TIMESCALE_TOPICS = frozenset(table.topic for table in TABLES)
"""The topics that the sink into TimescaleDB reads."""

_BY_NAME = MappingProxyType({table.name: table for table in TABLES})


def table_of(name: str) -> Table:
    """A table by its name. Raises KeyError."""
    return _BY_NAME[name]
