"""The sink on a TimescaleDB that is really there: hypertables, compression and retention exist and work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from marketpipeline.readers import HistoryQuery, Span
from marketpipeline.readers.timescale import latest, select
from marketpipeline.records import Record
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.sinks.tiers.warm import Warm
from marketpipeline.sinks.timescale import TimescaleSink
from marketpipeline.sinks.timescale.connection import connect
from marketpipeline.sinks.timescale.extension import apply_policies
from marketpipeline.sinks.timescale.maintenance import clean_up
from marketpipeline.sinks.timescale.migrate import migrate, migrations
from marketpipeline.store import TABLES, Table, table_of
from marketpipeline.store.rows import json_of, row_reader
from psycopg.types.json import Jsonb

from tests.services.sinks.samples import BTC, ETH, START, alert, book, candle, deliver, every_kind, trade

DAY = 86_400_000_000
HYPERTABLES = [table for table in TABLES if table.chunk_days is not None]
KEPT = {"trades": 90.0, "book": 30.0, "candles": 1825.0, "alerts": 365.0, "events": 365.0}


@pytest.fixture
def settings(timescaledb: str) -> Iterator[TimescaleStoreSettings]:
    """An empty database, which the extension may be in already."""
    yield TimescaleStoreSettings(url=timescaledb, retention_days=KEPT, compress_after_days=2)
    with psycopg.connect(timescaledb, autocommit=True) as connection:
        made = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
        for (name,) in made:
            connection.execute(f'DROP TABLE IF EXISTS "{name}" CASCADE')


def write(settings: TimescaleStoreSettings, *batches: Sequence[Record]) -> None:
    sink = TimescaleSink(settings)
    sink.open()
    assert sink.hypertables
    for records in batches:
        sink.write(deliver(*records))
    sink.close()


def ask(settings: TimescaleStoreSettings, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.url, autocommit=True) as connection:
        return connection.execute(statement, values).fetchall()


def rows(settings: TimescaleStoreSettings, table: Table, **filters: Any) -> list[dict[str, Any]]:
    """The rows of a table as the API reads them."""
    statement = select(HistoryQuery(table, filters, Span()))
    with connect(settings, "test") as connection:
        return list(map(row_reader(table), connection.execute(statement.sql, statement.values)))


def policies(settings: TimescaleStoreSettings) -> dict[tuple[str, str], tuple[int, timedelta]]:
    """Job and age by table and kind of policy."""
    found = ask(
        settings,
        "SELECT hypertable_name, proc_name, job_id,"
        " coalesce(config ->> 'compress_after', config ->> 'drop_after')::interval"
        " FROM timescaledb_information.jobs WHERE hypertable_name IS NOT NULL",
    )
    return {(table, procedure): (job, age) for table, procedure, job, age in found}


def run_policy(settings: TimescaleStoreSettings, table: str, procedure: str) -> None:
    job, _ = policies(settings)[table, procedure]
    with psycopg.connect(settings.url, autocommit=True) as connection:
        connection.execute(f"CALL run_job({job})")


def chunks(settings: TimescaleStoreSettings, table: str) -> list[bool]:
    """Of each chunk of a table, in order of time, whether it is compressed."""
    found = ask(
        settings,
        "SELECT is_compressed FROM timescaledb_information.chunks WHERE hypertable_name = %s ORDER BY range_start",
        table,
    )
    return [compressed for (compressed,) in found]


def test_the_migrations_apply_and_make_hypertables(settings: TimescaleStoreSettings) -> None:
    write(settings)
    found = ask(
        settings,
        "SELECT h.hypertable_name, d.column_name, d.time_interval, h.compression_enabled"
        " FROM timescaledb_information.hypertables h JOIN timescaledb_information.dimensions d"
        " USING (hypertable_schema, hypertable_name) ORDER BY 1",
    )
    assert found == sorted((t.name, t.time, timedelta(days=t.chunk_days or 0), True) for t in HYPERTABLES)
    segments = ask(
        settings,
        "SELECT split_part(hypertable::text, '.', -1), segmentby, orderby"
        " FROM timescaledb_information.hypertable_columnstore_settings",
    )
    assert {name: segment for name, segment, _ in segments} == {t.name: ",".join(t.segment) for t in HYPERTABLES}
    assert ("trades", "symbol", "trade_time DESC,trade_id DESC") in segments


def test_policies_are_those_of_the_settings(settings: TimescaleStoreSettings) -> None:
    write(settings)
    first = policies(settings)
    ages = {key: age for key, (_, age) in first.items()}
    assert ages == {
        **{(table.name, "policy_compression"): timedelta(days=2) for table in HYPERTABLES},
        **{(table.name, "policy_retention"): timedelta(days=KEPT[table.group]) for table in HYPERTABLES},
    }
    write(settings)
    assert policies(settings) == first, "opening again changes nothing"
    changes = {"retention_days": {"trades": 7.0, "book": 1.0}, "compress_after_days": 3}
    write(settings.model_copy(update=changes))
    changed = {key: age for key, (_, age) in policies(settings).items()}
    assert changed["trades", "policy_retention"] == timedelta(days=7)
    assert changed["trades", "policy_compression"] == timedelta(days=3)
    assert changed["book_metrics", "policy_retention"] == timedelta(days=1)
    assert ("book_metrics", "policy_compression") not in changed, "nothing lives long enough to be compressed"
    assert ("candles", "policy_retention") not in changed


def test_both_ways_of_writing(settings: TimescaleStoreSettings) -> None:
    batch = every_kind()
    write(settings, batch, batch, [*batch, *every_kind(ETH)])
    for table in TABLES:
        expected = [json_of(record) for record in (*batch, *every_kind(ETH)) if type(record) is table.record]
        assert sorted(rows(settings, table), key=lambda row: str(row["symbol"])) == expected, table.name


def test_an_archived_day_goes_as_whole_chunks(settings: TimescaleStoreSettings) -> None:
    """Compressed or not; of a table whose chunks are longer than a day its rows go, which may be compressed too."""
    days = [START // DAY * DAY + number * DAY for number in range(3)]
    write(settings, [trade(n, symbol, trade_time=at + n) for at in days for n in range(4) for symbol in (BTC, ETH)])
    write(settings, [candle(0, open_time=at + n * 60_000_000) for at in days for n in range(5)])
    run_policy(settings, "trades", "policy_compression")
    run_policy(settings, "candles", "policy_compression")
    assert (chunks(settings, "trades"), chunks(settings, "candles")[0]) == ([True] * 3, True)
    write(settings, [trade(9, trade_time=days[0] + 900)])
    middle, warm = datetime.fromtimestamp(days[1] / 1e6, UTC).date(), Warm(settings, "test")
    assert warm.drop(table_of("trades"), middle) == 0, "no row had to go by itself"
    assert warm.drop(table_of("candles"), middle) == 5
    assert (warm.digest(table_of("trades"), middle), warm.digest(table_of("candles"), middle)) == ({}, {})
    warm.close()
    assert len(chunks(settings, "trades")) == 2
    assert len(rows(settings, table_of("trades"))) == 17
    assert len(rows(settings, table_of("candles"))) == 10


def test_compression_works_and_compressed_rows_are_read_and_replaced(settings: TimescaleStoreSettings) -> None:
    trades = [trade(number, symbol) for symbol in (BTC, ETH) for number in range(500)]
    books = [book(number) for number in range(300)]
    write(settings, trades, books, [candle(0), candle(1)])
    for name in ("trades", "book_metrics", "candles"):
        assert chunks(settings, name) == [False]
        run_policy(settings, name, "policy_compression")
        assert chunks(settings, name) == [True]
    assert rows(settings, table_of("trades"), symbol=ETH) == [json_of(record) for record in trades[500:]]
    again = [*trades[:10], trade(501), book(5, imbalance=0.75), candle(0, closed=True), candle(1, closed=False)]
    write(settings, again, again)
    assert len(rows(settings, table_of("trades"))) == 1_001
    assert [row["imbalance"] for row in rows(settings, table_of("book_metrics"))][5] == 0.75
    assert [row["closed"] for row in rows(settings, table_of("candles"))] == [True, False]
    statement = latest(table_of("trades"), [BTC, ETH])
    with connect(settings, "test") as connection:
        newest = connection.execute(statement.sql, statement.values).fetchall()
    assert [json_of(trade(501)), json_of(trade(499, ETH))] == list(map(row_reader(table_of("trades")), newest))


def test_a_batch_that_touches_many_compressed_rows_is_taken(settings: TimescaleStoreSettings) -> None:
    """As when topics are read again from before `compressAfter`: the extension would refuse it at 100,000 rows."""
    symbols = [f"binance:COIN{number}" for number in range(110)]
    write(settings, *([trade(number, symbol) for number in range(1_000)] for symbol in symbols))
    run_policy(settings, "trades", "policy_compression")
    assert chunks(settings, "trades") == [True]
    again = [trade(number * 200, symbol, price=1.0) for symbol in symbols for number in range(5)]
    write(settings, again)
    found = ask(settings, "SELECT count(*), count(*) FILTER (WHERE price = 1) FROM trades")
    assert found == [(110_000, 550)]


def test_retention_drops_what_is_too_old(settings: TimescaleStoreSettings) -> None:
    today = int(datetime.now(UTC).timestamp() * 1e6)
    write(settings, [trade(1), trade(2, trade_time=today), candle(0), candle(1, open_time=today - 10**15)])
    assert chunks(settings, "trades") == [False, False]
    run_policy(settings, "trades", "policy_retention")
    assert [row["trade_id"] for row in rows(settings, table_of("trades"))] == [1_002]
    run_policy(settings, "candles", "policy_retention")
    assert len(rows(settings, table_of("candles"))) == (0 if _older_than_retention() else 1)


def _older_than_retention() -> bool:
    """Whether a candle of 2024 is over five years old by now; the one of 31 years ago always is."""
    return datetime.now(UTC) > datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=START, days=1825)


def test_maintenance_drops_chunks_too(settings: TimescaleStoreSettings) -> None:
    write(settings, [trade(1), trade(4 * 86_400_000), book(1), alert(0), alert(5 * 86_400)])
    now = datetime.fromtimestamp(START / 1e6, UTC) + timedelta(days=6)
    gone = clean_up(settings.model_copy(update={"retention_days": {"trades": 3.0, "alerts": 2.0}}), now)
    assert gone == {"trades": 1, "agg_trades": 0, "late_trades": 0, "alerts": 1}
    assert [row["trade_id"] for row in rows(settings, table_of("trades"))] == [4 * 86_400_000 + 1_000]
    assert [row["id"] for row in rows(settings, table_of("alerts"))] == [alert(5 * 86_400).id]
    assert len(rows(settings, table_of("book_metrics"))) == 1


def test_the_dashboard_answers_over_compressed_chunks(settings: TimescaleStoreSettings) -> None:
    write(settings, [trade(1), trade(2), book(1), candle(0, closed=True), candle(1), alert(), trade(9, ETH)])
    run_policy(settings, "trades", "policy_compression")
    run_policy(settings, "candles", "policy_compression")
    found = ask(
        settings, "SELECT symbol, last_price, mid, minute_closed, day_trades, open_alerts FROM dashboard_summary"
    )
    assert sorted(found) == [
        (BTC, trade(2).price, book(1).mid, False, 200, 1),
        (ETH, trade(9).price, None, None, None, 0),
    ]


def test_tables_that_were_there_before_the_extension_are_converted(settings: TimescaleStoreSettings) -> None:
    with connect(settings, "test") as connection:
        migrate(connection)
        connection.execute(
            "INSERT INTO late_trades SELECT 'a:B', t, t, t, 1, 1, 1, 'buy', t"
            " FROM generate_series('2024-01-01'::timestamptz, '2024-04-01', '10 days') AS t"
        )
    write(settings)
    assert len(chunks(settings, "late_trades")) > 1
    assert len(rows(settings, table_of("late_trades"))) == 10


def test_compressed_rows_of_an_earlier_release_are_migrated(settings: TimescaleStoreSettings) -> None:
    """Columns are renamed and added in compressed chunks, and what was there is read and replaced afterwards."""
    with connect(settings, "test") as connection:
        migrate(connection, migrations()[:3])
        there = {name for (name,) in connection.execute("SELECT tablename FROM pg_tables").fetchall()}
        apply_policies(connection, settings, [table for table in TABLES if table.name in there])
        connection.execute(
            "INSERT INTO trades (symbol, event_time, trade_time, receive_time, trade_id, price, quantity, taker_side,"
            " filled) SELECT %s, t, t, t, n, 1, 1, 'buy', n = 3"
            " FROM (SELECT n, '2024-08-08'::timestamptz + n * interval '1 s' AS t FROM generate_series(1, 5) n) AS r",
            (BTC,),
        )
        connection.execute(
            "INSERT INTO feed_events (symbol, id, kind, feed, receive_time, first_id, last_id, detail)"
            " VALUES (%s, 'fill:x', 'fill', 'trades', '2024-08-08', 3, 3, '')",
            (BTC,),
        )
        columns = ", ".join(f'"{column.name}"' for column in table_of("candles").columns if column.name != "complete")
        connection.execute(
            f"INSERT INTO candles ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::candles, %s)",
            (Jsonb(json_of(candle(0, closed=True))),),
        )
    for name in ("trades", "candles"):
        run_policy(settings, name, "policy_compression")
        assert chunks(settings, name) == [True]
    write(settings, [candle(1)], [candle(0, closed=True)])
    assert [row["backfilled"] for row in rows(settings, table_of("trades"))] == [False, False, True, False, False]
    assert [row["kind"] for row in rows(settings, table_of("feed_events"))] == ["backfill"]
    assert len(rows(settings, table_of("candles"))) == 2
