"""The definitions of the tables: everything follows from the records."""

from __future__ import annotations

import msgspec
import pytest
from marketpipeline import records
from marketpipeline.store import TABLES, TIMESCALE_TOPICS, Column, Table, table_of

from tests.services.sinks.samples import alert, candle, trade


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_columns_are_the_fields_of_the_record(table: Table) -> None:
    names = [field.name for field in msgspec.structs.fields(table.record)]
    assert ["v", *table.column_names] == names
    assert {*table.key, table.time, *table.segment} <= set(table.column_names)
    assert not [column.name for column in table.columns if column.name in table.key and column.nullable]


@pytest.mark.parametrize("table", [t for t in TABLES if t.chunk_days], ids=lambda table: table.name)
def test_the_time_of_a_hypertable_is_part_of_its_key(table: Table) -> None:
    assert table.time in table.key


def test_types() -> None:
    columns = {column.name: column for column in table_of("trades").columns}
    assert columns["trade_time"] == Column("trade_time", "timestamptz", nullable=False)
    assert columns["event_time"] == Column("event_time", "timestamptz", nullable=True)
    assert columns["trade_id"] == Column("trade_id", "bigint", nullable=False)
    assert columns["price"] == Column("price", "double precision", nullable=False)
    assert columns["taker_side"] == Column("taker_side", "text", nullable=False)
    assert columns["backfilled"] == Column("backfilled", "boolean", nullable=False)
    assert {column.name for column in table_of("late_trades").columns if column.is_time} >= {"clock", "trade_time"}
    assert {column.name for column in table_of("candles").columns if column.is_window_edge} == {
        "open_time",
        "close_time",
    }


def test_stages_go_forward() -> None:
    alerts, candles = table_of("alerts").rank, table_of("candles").rank
    assert alerts is not None
    assert candles is not None
    assert [alerts.of(alert(status=status)) for status in ("open", "escalated", "closed")] == [(0,), (1,), (2,)]
    assert [candles.of(candle(closed=closed)) for closed in (False, True)] == [(100, 0, 1), (100, 1, 1)]


def test_a_candle_is_further_on_by_its_trades_then_closed_then_complete() -> None:
    candles = table_of("candles").rank
    assert candles is not None
    rising = [
        candle(trades=9, closed=True, complete=True),
        candle(trades=10, closed=False, complete=False),
        candle(trades=10, closed=False, complete=True),
        candle(trades=10, closed=True, complete=False),
        candle(trades=10, closed=True, complete=True),
    ]
    ranks = [candles.of(row) for row in rising]
    assert ranks == sorted(set(ranks))


def test_every_topic_has_one_table() -> None:
    assert len(TIMESCALE_TOPICS) == len(TABLES)
    assert len({table.record for table in TABLES}) == len(TABLES)
    assert table_of("trades").record is records.Trade
    assert table_of("trades").key_of(trade(1)) == ("binance:BTCUSDT", trade(1).trade_time, 1_001)
