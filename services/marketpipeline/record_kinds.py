"""Every kind of record, said once: its topic, its writer, its natural key and its time, its table, its cache entries.

Topics of a plan, Flink's table definitions, the database's tables, the keys of the cache and what a reader expects in a
topic follow from these entries. A new kind of record is a struct in `records`, a name in `topics.TopicKind`, and an
entry here. Which fields hold a time is said where the fields are, by `records.Time`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Literal

from marketpipeline import records
from marketpipeline.topics import Feed, TopicKind

__all__ = [
    "FEED_TOPIC",
    "KINDS",
    "KIND_OF",
    "Measure",
    "Newest",
    "Rank",
    "RecordKind",
    "RetentionGroup",
    "TableLayout",
    "Writer",
    "kind_in",
    "records_in",
]

RetentionGroup = Literal["trades", "book", "candles", "alerts", "events"]


class Writer(StrEnum):
    """Who writes a topic; it tells how long the topic keeps its records."""

    INGESTION = "ingestion"
    STREAM_JOB = "stream job"
    PLATFORM = "platform"
    ANYONE = "anyone"


@dataclass(frozen=True, slots=True)
class Measure:
    """A field that tells how far on a record is: a number or a flag, or one of `stages` in their order."""

    column: str
    stages: tuple[str, ...] = ()

    def of(self, record: records.Record) -> int:
        """Its value as a number, not negative."""
        value = getattr(record, self.column)
        return self.stages.index(value) if self.stages else int(value)


@dataclass(frozen=True)
class Rank:
    """Which of two records of the same key is further on: the first measure that differs decides.

    A row is never replaced by a record of a lower rank, in whatever order they come: not by a replay after a restart,
    which sends early stages again, and not by a job that has read only the rest of a window. Of equal rank the later
    record counts. Every store ranks by this one rule (docs/decisions/0051).
    """

    measures: tuple[Measure, ...]

    @cached_property
    def of(self) -> Callable[[records.Record], tuple[int, ...]]:
        """What gives the rank of a record; tuples compare as the rule says. Sinks ask it for every row that repeats."""
        if len(self.measures) > 1 and not any(measure.stages for measure in self.measures):
            return attrgetter(*(measure.column for measure in self.measures))
        return lambda record: tuple(measure.of(record) for measure in self.measures)


@dataclass(frozen=True, kw_only=True)
class TableLayout:
    """How the database keeps a kind of record.

    `group` is the retention that it falls under. With `chunk_days` the table is a hypertable over the kind's `time`
    where TimescaleDB is there. `segment` are the columns that compressed rows are grouped by. Queries go by
    `query_time` where there is one, and by the kind's `time` in the rows that lack it.
    """

    name: str
    group: RetentionGroup
    chunk_days: int | None = None
    segment: tuple[str, ...] = ("symbol",)
    query_time: str | None = None


@dataclass(frozen=True, slots=True)
class Newest:
    """An entry of the cache: of each symbol the record with the highest `order`.

    Its name in the key is `name`, followed by `:` and the value of the field `by` where there is one. Of its kind only
    records whose fields have the values of `where` count.
    """

    name: str
    order: Callable[[Any], tuple[int, ...]]
    by: str | None = None
    where: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class RecordKind:
    """One kind of record.

    `key` is its natural key: two records that agree in it are the same thing, told again or further on (`rank`).
    `time` is the field that retention and queries go by. A pipeline has the kind if it has one of `feeds`, or always.
    `newest` are its entries in the cache; a kind that is `recent` is kept there as a list of the last ones.
    One that is not `archived` is in its topic and nowhere else.
    """

    record: type[records.Record]
    topic: TopicKind
    writer: Writer
    key: tuple[str, ...]
    time: str
    feeds: frozenset[Feed] | None = None
    rank: Rank | None = None
    table: TableLayout | None = None
    newest: tuple[Newest, ...] = ()
    recent: bool = False
    archived: bool = True

    @property
    def name(self) -> str:
        """The record's `type` on the wire."""
        return str(self.record.__struct_config__.tag)

    @property
    def in_cache(self) -> bool:
        """Whether the cache keeps it in any form."""
        return bool(self.newest) or self.recent

    def exists_with(self, feeds: frozenset[Feed]) -> bool:
        """Whether a pipeline that follows `feeds` has this kind."""
        return self.feeds is None or bool(self.feeds & feeds)


_CANDLE = ("symbol", "interval", "open_time")
_BY_TRADES = Rank((Measure("trades"), Measure("closed"), Measure("complete")))
"""A candle with fewer trades never replaces one with more: trades are only ever missed, never invented."""
_BY_STAGE = Rank((Measure("closed"),))
_PRICED = frozenset({Feed.BOOK, Feed.TRADES})


def _exchange_order(record: Any) -> int:
    """The exchange's time, or ours where it gives none."""
    return int(record.event_time or record.receive_time)


def _candle_order(candle: Any) -> tuple[int, ...]:
    """The newest first; of one candle the record that is further on."""
    return (candle.open_time, *_BY_TRADES.of(candle))


def _feed(record: type[records.Record], topic: TopicKind, feed: Feed, **rest: Any) -> RecordKind:
    return RecordKind(record=record, topic=topic, writer=Writer.INGESTION, feeds=frozenset({feed}), **rest)


KINDS = (
    _feed(
        records.Trade, TopicKind.TRADES, Feed.TRADES,
        key=("symbol", "trade_time", "trade_id"), time="trade_time",
        table=TableLayout(name="trades", group="trades", chunk_days=1),
        newest=(Newest("trade", lambda trade: (trade.trade_time, trade.trade_id)),),
    ),
    _feed(
        records.AggTrade, TopicKind.AGG_TRADES, Feed.AGG_TRADES,
        key=("symbol", "trade_time", "agg_trade_id"), time="trade_time",
        table=TableLayout(name="agg_trades", group="trades", chunk_days=1),
    ),
    _feed(
        records.Book, TopicKind.BOOK, Feed.BOOK,
        key=("symbol", "receive_time", "update_id"), time="receive_time",
    ),
    _feed(
        records.Quote, TopicKind.QUOTES, Feed.QUOTES,
        key=("symbol", "receive_time", "update_id"), time="receive_time",
        newest=(Newest("quote", lambda quote: (_exchange_order(quote), quote.update_id)),),
    ),
    _feed(
        records.Ticker, TopicKind.TICKERS, Feed.TICKERS,
        key=("symbol", "receive_time"), time="receive_time",
        table=TableLayout(name="tickers", group="book", chunk_days=1),
        newest=(Newest("ticker", lambda ticker: (_exchange_order(ticker), ticker.receive_time)),),
    ),
    _feed(
        records.ExchangeCandle, TopicKind.EXCHANGE_CANDLES, Feed.CANDLES,
        key=_CANDLE, time="open_time", rank=_BY_STAGE,
        table=TableLayout(
            name="exchange_candles", group="candles", chunk_days=30, segment=("symbol", "interval")
        ),
    ),
    _feed(
        records.RawFrame, TopicKind.RAW, Feed.RAW,
        key=("connection", "sequence"), time="receive_time", archived=False,
    ),
    RecordKind(
        record=records.FeedEvent, topic=TopicKind.EVENTS, writer=Writer.INGESTION,
        key=("id",), time="receive_time",
        table=TableLayout(name="feed_events", group="events", query_time="event_time"),
    ),
    RecordKind(
        record=records.DeadLetter, topic=TopicKind.DEAD_LETTERS, writer=Writer.ANYONE,
        key=("source", "ingestion_time"), time="ingestion_time",
    ),
    RecordKind(
        record=records.SymbolThresholds, topic=TopicKind.THRESHOLDS, writer=Writer.PLATFORM, feeds=_PRICED,
        key=("symbol",), time="effective_from",
    ),
    RecordKind(
        record=records.BookMetrics, topic=TopicKind.BOOK_METRICS, writer=Writer.STREAM_JOB,
        feeds=frozenset({Feed.BOOK}), key=("symbol", "event_time", "update_id"), time="event_time",
        table=TableLayout(name="book_metrics", group="book", chunk_days=1),
        newest=(Newest("book", lambda book: (book.event_time, book.update_id)),),
    ),
    RecordKind(
        record=records.Candle, topic=TopicKind.CANDLES, writer=Writer.STREAM_JOB, feeds=frozenset({Feed.TRADES}),
        key=_CANDLE, time="open_time", rank=_BY_TRADES,
        table=TableLayout(name="candles", group="candles", chunk_days=30, segment=("symbol", "interval")),
        newest=(
            Newest("candle", _candle_order, "interval"),
            Newest("closed-candle", _candle_order, "interval", (("closed", True),)),
        ),
    ),
    RecordKind(
        record=records.TradeStatistics, topic=TopicKind.TRADE_STATISTICS, writer=Writer.STREAM_JOB,
        feeds=frozenset({Feed.TRADES}), key=_CANDLE, time="open_time",
        rank=Rank((Measure("trades"), Measure("complete"))),
        table=TableLayout(name="trade_statistics", group="candles", chunk_days=30, segment=("symbol", "interval")),
        newest=(Newest("statistics", lambda row: (row.open_time, row.trades, row.complete), "interval"),),
    ),
    RecordKind(
        record=records.BookStatistics, topic=TopicKind.BOOK_STATISTICS, writer=Writer.STREAM_JOB,
        feeds=frozenset({Feed.BOOK}), key=_CANDLE, time="open_time", rank=Rank((Measure("events"),)),
        table=TableLayout(name="book_statistics", group="book", chunk_days=7, segment=("symbol", "interval")),
    ),
    RecordKind(
        record=records.Alert, topic=TopicKind.ALERTS, writer=Writer.STREAM_JOB, feeds=_PRICED,
        key=("id",), time="started_at", rank=Rank((Measure("status", ("open", "escalated", "closed")),)),
        table=TableLayout(name="alerts", group="alerts"),
        recent=True,
    ),
    RecordKind(
        record=records.LateTrade, topic=TopicKind.LATE, writer=Writer.STREAM_JOB, feeds=frozenset({Feed.TRADES}),
        key=("symbol", "trade_time", "trade_id"), time="trade_time",
        table=TableLayout(name="late_trades", group="trades", chunk_days=30),
    ),
)  # fmt: skip
"""Every kind that has a topic of its own; a Heartbeat travels in the topic of the feed that it speaks of. Alerts and
feed events are ordinary tables: they are few, and their key has no time in it."""

KIND_OF = MappingProxyType({kind.record: kind for kind in KINDS})
"""The kind of each type of record."""

_IN_TOPIC = MappingProxyType({kind.topic: kind for kind in KINDS})

FEED_TOPIC = MappingProxyType(
    {feed: kind.topic for kind in KINDS if kind.writer is Writer.INGESTION for feed in kind.feeds or ()}
)
"""Where the records of a feed go."""


def kind_in(topic: TopicKind) -> RecordKind:
    """The kind of record that a topic is for."""
    return _IN_TOPIC[topic]


def records_in(topic: TopicKind) -> tuple[type[records.Record], ...]:
    """The types of record that a topic may hold: its kind, and heartbeats where it is a feed's or the events'."""
    kind = _IN_TOPIC[topic]
    beats = topic is TopicKind.EVENTS or (topic in FEED_TOPIC.values() and topic is not TopicKind.RAW)
    return (kind.record, records.Heartbeat) if beats else (kind.record,)
