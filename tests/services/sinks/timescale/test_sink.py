"""What only the sink into PostgreSQL has: exact values, both ways of writing, one transaction, its errors."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from marketpipeline.errors import PermanentError
from marketpipeline.records import Record
from marketpipeline.sinks.base import Backpressure, RowsRejected
from marketpipeline.sinks.timescale import TimescaleSink
from marketpipeline.store import TABLES
from psycopg.rows import dict_row

from tests.conftest import free_port
from tests.services.sinks.samples import (
    BTC,
    ETH,
    START,
    alert,
    book,
    candle,
    deliver,
    every_kind,
    feed_event,
    quote,
    trade,
)
from tests.services.sinks.stores import PostgresStore
from tests.support.postgres import PASSWORD, RunningPostgres

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(postgres: RunningPostgres, database: str) -> PostgresStore:
    return PostgresStore(postgres, database)


@pytest.fixture
def sink(store: PostgresStore) -> Iterator[TimescaleSink]:
    sink = TimescaleSink(store.settings)
    sink.open()
    yield sink
    sink.close()


def rows(store: PostgresStore, table: str) -> list[dict[str, Any]]:
    """A table's rows with times as microseconds."""
    with psycopg.connect(store.url, row_factory=dict_row) as connection:
        found = connection.execute(f"SELECT * FROM {table} ORDER BY symbol").fetchall()
    return [
        {k: (v - EPOCH) // timedelta(microseconds=1) if isinstance(v, datetime) else v for k, v in row.items()}
        for row in found
    ]


def as_row(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__ if name != "v"}


def test_every_value_comes_back_exactly(store: PostgresStore, sink: TimescaleSink) -> None:
    written = [record for record in every_kind() if type(record) is not type(quote())]
    sink.write(deliver(*every_kind()))
    assert len(written) == len(TABLES)
    for table in TABLES:
        assert rows(store, table.name) == [as_row(record) for record in written if type(record) is table.record]


def test_extreme_values(store: PostgresStore, sink: TimescaleSink) -> None:
    odd = trade(1, trade_id=2**63 - 1, price=123456789.012345, quantity=1e-8, trade_time=0, event_time=None)
    negative = trade(2, trade_id=-1, price=5e-324, quantity=1.7976931348623157e308, trade_time=253_402_300_799_999_999)
    sink.write(deliver(odd, negative))
    assert sorted(rows(store, "trades"), key=lambda row: -row["trade_id"]) == [as_row(odd), as_row(negative)]


def test_text_is_kept_as_it_is(store: PostgresStore, sink: TimescaleSink) -> None:
    from tests.services.sinks.samples import feed_event

    detail = 'a\tb\nc\\.\\N "quoted" \x01 ü 東 🚀'
    sink.write(deliver(feed_event(detail=detail)))
    assert [row["detail"] for row in rows(store, "feed_events")] == [detail]


def test_a_repetition_is_an_upsert_and_new_rows_beside_it_are_written(
    store: PostgresStore, sink: TimescaleSink
) -> None:
    sink.write(deliver(trade(1), trade(2, ETH), book(1)))
    sink.write(deliver(trade(1, backfilled=True), trade(3), trade(2, ETH), book(1, imbalance=0.5), book(2)))
    found = [(row["symbol"], row["trade_id"], row["backfilled"]) for row in rows(store, "trades")]
    assert sorted(found) == [(BTC, 1_001, True), (BTC, 1_003, False), (ETH, 1_002, False)]
    assert sorted((row["update_id"], row["imbalance"]) for row in rows(store, "book_metrics")) == [
        (7_001, 0.5),
        (7_002, book().imbalance),
    ]
    for number in range(4, 120):
        sink.write(deliver(trade(number), trade(number - 1)))
    assert len(rows(store, "trades")) == 119


def test_a_batch_is_one_transaction(store: PostgresStore, sink: TimescaleSink) -> None:
    with pytest.raises(RowsRejected, match="too big"):
        sink.write(deliver(trade(1), candle(), alert(trade_id=2**70)))
    assert rows(store, "trades") == rows(store, "candles") == rows(store, "symbols") == []
    sink.write(deliver(trade(1), candle()))
    assert [row["symbol"] for row in rows(store, "symbols")] == [BTC]


def test_symbols_are_noted_once(store: PostgresStore, sink: TimescaleSink) -> None:
    sink.write(deliver(trade(1), trade(1, ETH)))
    sink.write(deliver(trade(2), trade(2, "okx:BTC-USDT")))
    assert [row["symbol"] for row in rows(store, "symbols")] == [BTC, ETH, "okx:BTC-USDT"]


def test_the_dashboard_has_a_row_a_symbol(store: PostgresStore, sink: TimescaleSink) -> None:
    sink.write(deliver(trade(1), trade(7), book(1), book(3, mid=5.0), candle(0, closed=True), candle(1), alert()))
    sink.write(deliver(candle(-1439, volume=1e9, closed=True), candle(-1438, volume=2.0, low=1.0), trade(1, ETH)))
    sink.write(deliver(alert(1, status="closed"), alert(2)))
    with psycopg.connect(store.url, row_factory=dict_row) as connection:
        btc, eth = connection.execute("SELECT * FROM dashboard_summary ORDER BY symbol").fetchall()
    assert (btc["symbol"], btc["last_price"], btc["mid"]) == (BTC, trade(7).price, 5.0)
    assert btc["minute_open_time"] == EPOCH + timedelta(microseconds=START + 60_000_000)
    assert (btc["minute_closed"], btc["day_low"], btc["day_trades"]) == (False, 1.0, 300)
    assert btc["day_volume"] == pytest.approx(2.0 + 2 * 10.5)
    assert btc["open_alerts"] == 2
    assert (eth["last_price"], eth["mid"], eth["open_alerts"]) == (trade(1).price, None, 0)


def test_a_table_of_another_shape_is_permanent(store: PostgresStore, sink: TimescaleSink) -> None:
    with psycopg.connect(store.url) as connection:
        connection.execute("ALTER TABLE trades DROP COLUMN backfilled")
        connection.execute("ALTER TABLE trades ALTER COLUMN quantity TYPE text")
    with pytest.raises(PermanentError, match="backfilled"):
        sink.write(deliver(trade(1)))
    wrong = r"column quantity text, not double precision; column backfilled \(absent\), not boolean"
    said = rf"sinks\.timescale\.url: .*: the table trades is there and is not this sink's \({wrong}\); name another"
    with pytest.raises(PermanentError, match=said) as caught:
        TimescaleSink(store.settings).open()
    assert PASSWORD not in str(caught.value)


def test_an_absent_server_is_waited_for(store: PostgresStore) -> None:
    absent = store.settings.model_copy(update={"url": f"postgresql://marketpipeline@127.0.0.1:{free_port()}/x"})
    with pytest.raises(Backpressure, match="away"):
        TimescaleSink(absent).open()


def test_a_full_disk_is_waited_for(store: PostgresStore, sink: TimescaleSink) -> None:
    """The server's own error, raised where its statement writes: no disk of this machine is to be filled."""
    with psycopg.connect(store.url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
            "'could not extend file \"base/1/2\": No space left on device' USING ERRCODE = 'disk_full'; END $$"
        )
        connection.execute("CREATE TRIGGER full_disk BEFORE INSERT ON trades EXECUTE FUNCTION full_disk()")
        with pytest.raises(Backpressure, match="No space left on device"):
            sink.write(deliver(trade(1), candle()))
        assert not rows(store, "candles"), "all or nothing"
        connection.execute("DROP TRIGGER full_disk ON trades")
    sink.open()
    sink.write(deliver(trade(1), candle()))
    assert (len(rows(store, "trades")), len(rows(store, "candles"))) == (1, 1)


def test_a_connection_that_the_server_ended_is_made_anew(store: PostgresStore, sink: TimescaleSink) -> None:
    sink.write(deliver(trade(1)))
    with psycopg.connect(store.url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%sink'")
    with pytest.raises(Backpressure):
        sink.write(deliver(trade(2)))
    sink.open()
    sink.write(deliver(trade(2)))
    assert len(rows(store, "trades")) == 2


def test_a_text_that_holds_nul_is_stored_without_it(store: PostgresStore, sink: TimescaleSink) -> None:
    """As the reason that an exchange gives when it closes a connection."""
    reason = "closed by the exchange: 1008 \0bye\0"
    sink.write(deliver(feed_event(kind="disconnect", detail=reason, id="disconnect:\0:1"), feed_event(2)))
    found = {row["id"]: row["detail"] for row in rows(store, "feed_events")}
    assert found["disconnect:\N{REPLACEMENT CHARACTER}:1"] == reason.replace("\0", "\N{REPLACEMENT CHARACTER}")
    assert len(found) == 2


def test_a_row_that_another_session_holds_is_backpressure(store: PostgresStore, sink: TimescaleSink) -> None:
    assert sink._connection is not None
    sink.write(deliver(candle()))
    sink._connection.execute("SET lock_timeout = '100ms'")
    with psycopg.connect(store.url) as other:
        other.execute("SELECT * FROM candles FOR UPDATE")
        with pytest.raises(Backpressure, match="lock timeout"):
            sink.write(deliver(candle(close=2.0)))
    sink.write(deliver(candle(close=2.0)))
    assert [row["close"] for row in rows(store, "candles")] == [2.0]


def test_passwords_are_not_in_what_is_said(store: PostgresStore) -> None:
    settings = store.settings.model_copy(update={"url": f"postgresql://nobody@127.0.0.1:{free_port()}/x"})
    with pytest.raises(Backpressure) as caught:
        TimescaleSink(settings).open()
    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in repr(settings)
