"""The tables in ClickHouse's words, made from their definitions in `store.tables`. Pure.

A table is a ReplacingMergeTree ordered by the natural key, the symbol and the time first, in partitions of a month; of
rows with the same key a merge, or `FINAL`, keeps the one with the highest `version`, the rank as one number, and of
equals the last that came. A table whose key has no time in it (alerts, events of feeds) is not partitioned, as its rows
would not meet. How columns are compressed was measured: docs/decisions/0172.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from marketpipeline.record_kinds import Measure, Rank
from marketpipeline.sink_kinds.clickhouse import ClickHouseCluster
from marketpipeline.store import TABLES, Column, Table
from marketpipeline.store.clickhouse import SYMBOLS, VERSION

__all__ = ["CANDLES_OVER", "Definition", "candles_over", "definitions", "version_of"]

CANDLES_OVER = "candles_over"
"""A view: `SELECT * FROM candles_over(base = '1m', seconds = 3600, since = '2026-11-01', until = '2026-12-01')`."""

_DEDUPLICATED_BLOCKS = 1_000
"""How many of the newest batches a table that is not replicated knows again; each partition has its own."""

_TYPES = {
    "text": ("String", "ZSTD(1)"),
    "bigint": ("Int64", "Delta(8), ZSTD(1)"),
    "double precision": ("Float64", "ZSTD(1)"),
    "boolean": ("Bool", "ZSTD(1)"),
    "timestamptz": ("DateTime64(6, 'UTC')", "DoubleDelta, ZSTD(1)"),
}
_VERSION_BITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A table as it should be. `columns` are name and type, `codecs` by name; `ttl` is an expression or None."""

    name: str
    columns: dict[str, str]
    codecs: dict[str, str]
    version: str | None
    order: tuple[str, ...]
    partition: str | None
    ttl: str | None
    time: str | None = None

    def create(self, cluster: ClickHouseCluster | None) -> str:
        """The statement that makes it, unless it is there."""
        columns = [self.column(name) for name in self.columns]
        if self.version is not None:
            columns.append(f"{VERSION} UInt64 MATERIALIZED {self.version}")
        if self.partition is None and self.time is not None:
            columns.append(f"INDEX by_time {self.time} TYPE minmax GRANULARITY 1")
        parts = [
            f"CREATE TABLE IF NOT EXISTS {self.name}{on_cluster(cluster)}",
            f"({', '.join(columns)})",
            f"ENGINE = {self._engine(cluster)}",
            *([f"PARTITION BY {self.partition}"] if self.partition else []),
            f"ORDER BY ({', '.join(self.order)})",
            *([f"TTL {self.ttl}"] if self.ttl else []),
            *([] if cluster else [f"SETTINGS non_replicated_deduplication_window = {_DEDUPLICATED_BLOCKS}"]),
        ]
        return "\n".join(parts)

    def add(self, column: str, cluster: ClickHouseCluster | None) -> str:
        """The statement that adds a column which a table of an earlier release lacks."""
        return f"ALTER TABLE {self.name}{on_cluster(cluster)} ADD COLUMN IF NOT EXISTS {self.column(column)}"

    def expire(self, cluster: ClickHouseCluster | None) -> str:
        """The statement that makes the table keep its rows for as long as it should."""
        change = f"MODIFY TTL {self.ttl}" if self.ttl else "REMOVE TTL"
        return f"ALTER TABLE {self.name}{on_cluster(cluster)} {change}"

    def column(self, name: str) -> str:
        """A column with its type and codec."""
        return f"`{name}` {self.columns[name]} CODEC({self.codecs[name]})"

    def _engine(self, cluster: ClickHouseCluster | None) -> str:
        version = [] if self.version is None else [VERSION]
        if cluster is None:
            return f"ReplacingMergeTree({', '.join(version)})"
        arguments = [f"'{cluster.path}'", f"'{cluster.replica}'", *version]
        return f"ReplicatedReplacingMergeTree({', '.join(arguments)})"


def on_cluster(cluster: ClickHouseCluster | None) -> str:
    """The clause of a statement that every server of the cluster is to carry out."""
    return f" ON CLUSTER `{cluster.name}`" if cluster else ""


def definitions(retention_seconds: dict[str, int]) -> Iterator[Definition]:
    """Every table, each with the retention of its group."""
    yield Definition(
        name=SYMBOLS,
        columns={"symbol": "String", "seen_at": "DateTime64(6, 'UTC')"},
        codecs={"symbol": "ZSTD(1)", "seen_at": "ZSTD(1)"},
        version="toUInt64(toUnixTimestamp64Micro(seen_at))",
        order=("symbol",),
        partition=None,
        ttl=None,
    )
    for table in TABLES:
        yield _definition(table, retention_seconds.get(table.group))


def candles_over(cluster: ClickHouseCluster | None) -> str:
    """The statement that makes a view of candles of any interval, made from those of a smaller one.

    A view and no materialized one: candles are replaced as they form, and what is summed as it comes in would count
    them more than once.
    """
    bucket = "toDateTime64(toStartOfInterval(c.open_time, toIntervalSecond({seconds:UInt32})), 6, 'UTC')"
    columns = {
        "symbol": "c.symbol",
        "open_time": bucket,
        "close_time": f"{bucket} + toIntervalSecond({{seconds:UInt32}})",
        "closed": f"min(c.closed) AND max(c.close_time) >= any({bucket}) + toIntervalSecond({{seconds:UInt32}})",
        "complete": "min(c.complete)",
        "open": "argMin(c.open, c.open_time)",
        "high": "max(c.high)",
        "low": "min(c.low)",
        "close": "argMax(c.close, c.open_time)",
        **{name: f"sum(c.{name})" for name in ("volume", "quote_volume", "trades", "taker_buy_volume")},
        "vwap": "sum(c.quote_volume) / nullIf(sum(c.volume), 0)",
        "first_trade_id": "min(c.first_trade_id)",
        "last_trade_id": "max(c.last_trade_id)",
    }
    return (
        f"CREATE VIEW IF NOT EXISTS {CANDLES_OVER}{on_cluster(cluster)} AS\n"
        f"SELECT {', '.join(f'{what} AS {name}' for name, what in columns.items())}\n"
        "FROM candles AS c FINAL\n"
        "WHERE c.interval = {base:String} AND c.open_time >= {since:DateTime64(6, 'UTC')}"
        " AND c.open_time < {until:DateTime64(6, 'UTC')}\n"
        f"GROUP BY c.symbol, {bucket}\n"
        "SETTINGS do_not_merge_across_partitions_select_final = 1"
    )


def _definition(table: Table, kept: int | None) -> Definition:
    types = {column.name: _type(column, in_key=column.name in table.key) for column in table.columns}
    first = [name for name in table.key if name in table.segment]
    by_time = [table.time] if table.time in table.key else []
    rest = [name for name in table.key if name not in (*first, *by_time)]
    return Definition(
        name=table.name,
        columns={name: type_ for name, (type_, _) in types.items()},
        codecs={name: codec for name, (_, codec) in types.items()},
        version=version_of(table),
        order=(*first, *by_time, *rest),
        partition=f"toYYYYMM({table.time})" if by_time else None,
        ttl=None if kept is None else f"toDateTime({table.time}) + toIntervalSecond({kept})",
        time=table.time,
    )


def _type(column: Column, *, in_key: bool) -> tuple[str, str]:
    """Type and codec. A text of a few values is kept as their numbers: a symbol, a word of a list, part of a key."""
    type_, codec = _TYPES[column.type]
    if column.type == "text" and (not column.is_free_text or (in_key and column.name != "id")):
        type_ = f"LowCardinality({f'Nullable({type_})' if column.nullable else type_})"
    elif column.nullable:
        type_ = f"Nullable({type_})"
    return type_, codec


def version_of(table: Table) -> str | None:
    """The expression of the rank as one number: the first measure in the highest bits. None without a rank."""
    if table.rank is None:
        return None
    kinds = {column.name: column.type for column in table.columns}
    widths = _widths(table.rank, kinds)
    parts, shift = [], _VERSION_BITS
    for measure, width in zip(table.rank.measures, widths, strict=True):
        shift -= width
        value = f"toUInt64({_value(measure)})"
        parts.append(f"bitShiftLeft({value}, {shift})" if shift else value)
    return " + ".join(parts)


def _widths(rank: Rank, kinds: Mapping[str, str]) -> list[int]:
    """Bits of each measure: what a flag or a list of stages needs, and the rest for a number.

    Raises ValueError for a rank of several numbers, which one cannot hold.
    """
    needed = [_bits(measure, kinds[measure.column]) for measure in rank.measures]
    if needed.count(None) > 1:
        raise ValueError(f"a rank of several numbers is more than a version can hold: {rank.measures}")
    left = _VERSION_BITS - sum(width for width in needed if width is not None)
    return [left if width is None else width for width in needed]


def _bits(measure: Measure, kind: str) -> int | None:
    if measure.stages:
        return len(measure.stages).bit_length()
    return 1 if kind == "boolean" else None


def _value(measure: Measure) -> str:
    if not measure.stages:
        return measure.column
    stages = ", ".join(f"'{stage}'" for stage in measure.stages)
    return f"indexOf([{stages}], {measure.column})"
