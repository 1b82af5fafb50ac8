"""What only the sink into ClickHouse has: exact values, tokens, what a batch may not hold, its errors, its process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.records import Record
from marketpipeline.sinks.base import Backpressure, RowsRejected
from marketpipeline.sinks.clickhouse import ClickHouseSink
from marketpipeline.store import TABLES, Table

from tests.conftest import free_port, wait_for
from tests.services.sinks.running import RunningSink, SinkProcess
from tests.services.sinks.samples import BTC, ETH, START, book, candle, deliver, every_kind, feed_event, quote, trade
from tests.services.sinks.stores import ClickHouseStore
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker
from tests.support.clickhouse import RunningClickHouse


@pytest.fixture
def store(clickhouse: RunningClickHouse) -> ClickHouseStore:
    return ClickHouseStore(clickhouse)


@pytest.fixture
def sink(store: ClickHouseStore) -> Iterator[ClickHouseSink]:
    sink = ClickHouseSink(store.settings)
    sink.open()
    yield sink
    sink.close()


def rows(store: ClickHouseStore, table: Table) -> list[tuple[Any, ...]]:
    """A table's rows, with times as microseconds."""
    columns = [f"toUnixTimestamp64Micro({column.name})" if column.is_time else column.name for column in table.columns]
    return store.query(f"SELECT {', '.join(columns)} FROM {table.name} FINAL ORDER BY symbol, {table.key[-1]}")


def as_row(record: Record) -> tuple[Any, ...]:
    return tuple(getattr(record, name) for name in record.__struct_fields__ if name != "v")


TRADES = next(table for table in TABLES if table.name == "trades")


def test_every_value_comes_back_exactly(store: ClickHouseStore, sink: ClickHouseSink) -> None:
    written = [record for record in every_kind() if type(record) is not type(quote())]
    sink.write(deliver(*every_kind()))
    assert len(written) == len(TABLES)
    for table in TABLES:
        assert rows(store, table) == [as_row(record) for record in written if type(record) is table.record]


def test_extreme_values_and_any_text(store: ClickHouseStore, sink: ClickHouseSink) -> None:
    odd = trade(1, trade_id=2**63 - 1, price=123456789.012345, quantity=1e-8, trade_time=0, event_time=None)
    far = trade(2, trade_id=-1, price=5e-324, quantity=1.7976931348623157e308, trade_time=10_413_791_999_999_999)
    event = feed_event(detail='a\tb\nc\\.\\N "quoted" \x01 \0 ü 東 🚀')
    sink.write(deliver(odd, far, event))
    assert rows(store, TRADES) == [as_row(far), as_row(odd)]
    assert store.query("SELECT detail FROM feed_events") == [(event.detail,)]


@pytest.mark.parametrize("changes", [{"trade_id": 2**63}, {"trade_time": 10_413_792_000_000_000}], ids=str)
def test_a_row_that_no_column_can_hold_is_refused_and_the_rest_is_taken(
    store: ClickHouseStore, sink: ClickHouseSink, changes: dict[str, Any]
) -> None:
    with pytest.raises(RowsRejected, match=r"trade_(id|time)"):
        sink.write(deliver(trade(1), trade(2, **changes)))
    sink.write(deliver(trade(1), trade(3)))
    assert rows(store, TRADES) == [as_row(trade(1)), as_row(trade(3))]


def test_a_row_that_a_constraint_refuses(store: ClickHouseStore, sink: ClickHouseSink) -> None:
    store.query("ALTER TABLE trades ADD CONSTRAINT whole CHECK price > 0")
    with pytest.raises(RowsRejected, match="whole"):
        sink.write(deliver(trade(1), trade(2, price=-1.0)))


def test_a_batch_over_many_months(store: ClickHouseStore, sink: ClickHouseSink) -> None:
    month = 31 * 86_400_000_000
    sink.write(deliver(*(trade(number, trade_time=number * month) for number in range(150))))
    assert store.query("SELECT count(), uniqExact(_partition_id) FROM trades") == [(150, 150)]


def test_the_very_same_batch_is_stored_once(store: ClickHouseStore, sink: ClickHouseSink) -> None:
    """A write whose answer was lost is repeated; it makes no second part to merge. Of other rows it says nothing."""
    batch = deliver(*(trade(number) for number in range(100)))
    for _ in range(3):
        sink.write(batch)
    assert store.query("SELECT count() FROM trades") == [(100,)]
    sink.write(batch[:50])
    assert store.query("SELECT count(), uniqExact(trade_id) FROM trades") == [(150, 100)]


def test_the_server_computes_the_version_so_that_anyone_may_write(store: ClickHouseStore, sink: ClickHouseSink) -> None:
    sink.write(deliver(candle(trades=100, close=2.0)))
    store.query("INSERT INTO candles SELECT * REPLACE (99 AS trades, 3.0 AS close) FROM candles")
    store.query("INSERT INTO candles SELECT * REPLACE (101 AS trades, 4.0 AS close) FROM candles FINAL")
    assert store.query("SELECT close FROM candles FINAL") == [(4.0,)]
    store.query("OPTIMIZE TABLE candles FINAL")
    assert store.query("SELECT close FROM candles") == [(4.0,)]


def test_candles_of_higher_intervals_are_made_of_those_that_are_there(
    store: ClickHouseStore, sink: ClickHouseSink
) -> None:
    """From 23:54: six minutes of one bucket and nine of the next, the last of which still forms."""
    minutes = [
        candle(n, closed=n < 14, trades=n + 1, volume=1.0 + n, quote_volume=10.0, high=100.0 + n, low=50.0 - n, open=n)
        for n in range(15)
    ]
    sink.write(deliver(*(candle(n, trades=0, volume=9.0) for n in range(15)), *minutes))
    span = "since = '2024-08-08', until = '2024-08-10'"
    found = store.query(
        "SELECT toUnixTimestamp64Micro(open_time), closed, open, high, low, close, volume, trades, vwap"
        f" FROM candles_over(base = '1m', seconds = 900, {span}) WHERE symbol = {{s:String}} ORDER BY open_time",
        s=BTC,
    )
    first = START - START % 900_000_000
    assert found == [
        (first, True, 0.0, 105.0, 45.0, 61_010.0, 21.0, 21, 60 / 21),
        (first + 900_000_000, False, 6.0, 114.0, 36.0, 61_019.0, 99.0, 99, 90 / 99),
    ]


def test_an_absent_server_is_waited_for(store: ClickHouseStore) -> None:
    absent = store.settings.model_copy(update={"url": f"http://marketpipeline@127.0.0.1:{free_port()}/x"})
    with pytest.raises(Backpressure, match="away"):
        ClickHouseSink(absent).open()


def test_a_full_disk_is_waited_for(store: ClickHouseStore, sink: ClickHouseSink) -> None:
    """The server's own check, told that it must keep more free than any disk has."""
    store.query("ALTER TABLE trades MODIFY SETTING min_free_disk_bytes_to_perform_insert = 1000000000000000000")
    with pytest.raises(Backpressure, match="free space"):
        sink.write(deliver(trade(1)))
    store.query("ALTER TABLE trades RESET SETTING min_free_disk_bytes_to_perform_insert")
    sink.write(deliver(trade(1)))
    assert store.newest_trade(BTC) == 1_001


def test_tables_that_are_dropped_are_made_again(store: ClickHouseStore, sink: ClickHouseSink) -> None:
    store.query("DROP TABLE trades SYNC")
    with pytest.raises(Backpressure):
        sink.write(deliver(trade(1)))
    sink.open()
    sink.write(deliver(trade(1)))
    assert store.newest_trade(BTC) == 1_001


@pytest.fixture
def topics(broker: RunningBroker) -> Topics:
    return Topics(broker)


def test_a_poison_row_becomes_a_dead_letter_and_a_store_that_hangs_is_waited_for(
    topics: Topics, store: ClickHouseStore, clickhouse: RunningClickHouse
) -> None:
    with RunningSink(ClickHouseSink(store.settings), topics) as running:
        topics.put(*every_kind(BTC), trade(7, trade_id=2**63 - 1, trade_time=10_413_792_000_000_000), *every_kind(ETH))
        running.drained()
        assert running.metrics.dead_letters == 1
        clickhouse.pause()
        try:
            topics.put(*(book(number) for number in range(2, 1_000)))
        finally:
            clickhouse.resume()
        running.drained()
    assert running.left_nothing
    assert store.query("SELECT count() FROM book_metrics FINAL WHERE symbol = {s:String}", s=BTC) == [(999,)]
    assert store.query("SELECT count() FROM trades FINAL") == [(2,)]


def test_killed_in_the_middle_with_its_store_and_started_again_the_tables_are_complete(
    topics: Topics, store: ClickHouseStore, clickhouse: RunningClickHouse, tmp_path: Path
) -> None:
    process = SinkProcess(tmp_path, "sink-clickhouse", topics, {"url": store.settings.url})
    total = 8_000
    try:
        process.start()
        for begin in range(0, total, 2_000):
            topics.put(*(book(number) for number in range(begin, begin + 2_000)))
            topics.put(*(candle(0, trades=number + 1) for number in range(begin, begin + 2_000)))
            if begin == 2_000:
                wait_for(lambda: process.health()["rows"] > 100, "some rows are stored")
                assert process.end(signal.SIGKILL) == -signal.SIGKILL
                process.start()
            if begin == 4_000:
                clickhouse.kill()
                clickhouse.start()
        topics.put(candle(0, trades=total, closed=True))
        closed = "SELECT closed, trades FROM candles FINAL"
        wait_for(lambda: store.query(closed) == [(True, total)], "the candle is closed", seconds=60)
        count = "SELECT count() FROM book_metrics FINAL"
        wait_for(lambda: store.query(count) == [(total,)], "all rows are there", seconds=60)
        assert process.end(signal.SIGTERM) == 0, process.log()
    finally:
        process.close()
