"""A record and its row have one JSON form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from marketpipeline.records import Record
from marketpipeline.store import TABLES
from marketpipeline.store.rows import iso, json_of, row_reader

from tests.services.sinks.samples import START, book, candle, every_kind

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_times() -> None:
    moment = datetime(2024, 8, 9, 1, 54, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    assert iso(moment) == "2024-08-08T23:54:00.000005Z"
    assert iso(moment, whole_seconds=True) == "2024-08-08T23:54:00Z"
    assert iso(moment.replace(microsecond=0)) == "2024-08-08T23:54:00.000000Z"


def test_a_candle() -> None:
    found = json_of(candle())
    assert found["open_time"] == "2024-08-08T23:54:00Z"
    assert found["close_time"] == "2024-08-08T23:55:00Z"
    assert found["receive_time"] == "2024-08-08T23:54:50.000000Z"
    assert (found["symbol"], found["interval"], found["closed"], found["trades"]) == (
        "binance:BTCUSDT",
        "1m",
        False,
        100,
    )
    assert "v" not in found


@pytest.mark.parametrize("record", [r for r in every_kind() if type(r) in {t.record for t in TABLES}], ids=repr)
def test_a_row_reads_as_its_record(record: Record) -> None:
    table = next(table for table in TABLES if table.record is type(record))
    values = [getattr(record, column.name) for column in table.columns]
    row = [
        EPOCH + timedelta(microseconds=value) if column.is_time and value is not None else value
        for column, value in zip(table.columns, values, strict=True)
    ]
    assert row_reader(table)(row) == json_of(record)


def test_nulls_stay() -> None:
    assert json_of(book(event_time=START))["ask_depth"] is None
