"""Records become columns: nulls, levels and flags as they are, the partition beside them, what fits none refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from marketpipeline.records import Book, Record
from marketpipeline.sinks.base import RowsRejected
from marketpipeline.sinks.lake.held import Held
from marketpipeline.store.lake import LAKE_TABLES, LakeTable, lake_table

from tests.services.sinks.samples import BTC, START, every_kind, feed_event, trade

DAY = 86_400_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LEVELS = Book(
    symbol=BTC, event_time=None, receive_time=START, update_id=7, bids=[(99.0, 1.5), (98.0, 0.25)], asks=[],
    bid_contracts=[3.0, 1.0], ask_contracts=None,
)  # fmt: skip


def rows_of(table: LakeTable, *records: Record) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = Held(table).columns_of(records).to_pylist()
    return found


def as_read(column: str, value: Any) -> Any:
    if column == "time" and value is not None:
        return EPOCH + timedelta(microseconds=value)
    return [{"price": price, "quantity": quantity} for price, quantity in value] if column == "levels" else value


@pytest.mark.parametrize("table", LAKE_TABLES, ids=lambda table: table.name)
def test_every_field_is_in_its_column(table: LakeTable) -> None:
    records = [record for record in [*every_kind(), LEVELS] if type(record) is table.kind.record]
    assert records
    for record, row in zip(records, rows_of(table, *records), strict=True):
        for column in table.columns:
            assert row[column.name] == as_read(column.type, getattr(record, column.name)), column.name


def test_of_one_field_some_may_be_null() -> None:
    found = rows_of(lake_table("trades"), trade(1, contracts=None), trade(2, contracts=3.0), trade(3, event_time=None))
    assert [row["contracts"] for row in found] == [None, 3.0, None]
    assert found[2]["event_time"] is None


def test_a_record_is_filed_by_the_time_that_it_is_asked_for() -> None:
    late = feed_event(event_time=START, receive_time=START + DAY)
    untimed = feed_event(event_time=None, receive_time=START + DAY, symbol=BTC)
    day = (EPOCH + timedelta(microseconds=START)).date()
    found = rows_of(lake_table("feed_events"), late, untimed)
    assert [(row["exchange"], row["day"]) for row in found] == [
        ("binance", day),
        ("binance", day + timedelta(days=1)),
    ]


@pytest.mark.parametrize(
    ("table", "record"),
    [
        ("trades", trade(2, trade_id=2**63)),
        ("trades", trade(2, trade_time=2**63)),
        ("feed_events", feed_event(detail="\ud800")),
    ],
)
def test_what_no_column_can_hold_is_refused(table: str, record: Record) -> None:
    with pytest.raises(RowsRejected):
        Held(lake_table(table)).columns_of([record])
