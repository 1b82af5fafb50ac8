"""The daily clean-up on ordinary tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.records import Record
from marketpipeline.settings import KafkaSettings
from marketpipeline.sink_kinds.timescale import TimescaleSinkSettings
from marketpipeline.sinks.timescale import connection, maintenance

from tests.services.sinks.samples import BTC, ETH, START, alert, book, candle, deliver, every_kind, feed_event, trade
from tests.services.sinks.stores import PostgresStore
from tests.support.postgres import RunningPostgres

NOW = datetime.fromtimestamp(START / 1e6, UTC) + timedelta(days=10)
DAY = 86_400_000
"""In milliseconds, which trades are apart here."""


@pytest.fixture
def store(postgres: RunningPostgres, database: str) -> PostgresStore:
    return PostgresStore(postgres, database)


def fill(store: PostgresStore, *records: Record) -> None:
    sink = store.sink()
    sink.open()
    sink.write(deliver(*records))
    sink.close()


def counts(store: PostgresStore, *tables: str) -> list[int]:
    return [store.query(f"SELECT count(*) FROM {table}")[0][0] for table in tables]


def test_what_is_older_than_its_group_keeps_goes(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "_ROWS_AT_ONCE", 7)
    old_and_new = [trade(day * DAY + n, s) for day in (0, 3, 8) for n in range(20) for s in (BTC, ETH)]
    fill(store, *old_and_new, book(1), candle(0), alert(0), alert(9 * 86_400), feed_event(0))
    kept = {"trades": 5.0, "book": 11.0, "alerts": 2.0, "candles": 9.0}
    gone = maintenance.clean_up(store.settings.model_copy(update={"retention_days": kept}), NOW)
    assert counts(store, "trades", "book_metrics", "alerts", "candles", "feed_events") == [40, 1, 1, 0, 1]
    assert {name: count for name, count in gone.items() if count} == {"trades": 80, "alerts": 1, "candles": 1}
    assert "feed_events" not in gone


def test_a_database_without_tables_is_made_ready(store: PostgresStore) -> None:
    gone = maintenance.clean_up(store.settings.model_copy(update={"retention_days": {"trades": 1.0}}), NOW)
    assert gone == {"trades": 0, "agg_trades": 0, "late_trades": 0}


def test_a_table_that_fails_keeps_no_other_from_being_cleaned(store: PostgresStore) -> None:
    fill(store, *every_kind())
    with psycopg.connect(store.url) as other:
        other.execute("ALTER TABLE agg_trades RENAME TO elsewhere")
    kept = {"trades": 1.0, "book": 1.0, "candles": 1.0, "alerts": 1.0, "events": 1.0}
    with pytest.raises(PermanentError, match=r"^not cleaned up: agg_trades: .* does not exist") as caught:
        maintenance.clean_up(store.settings.model_copy(update={"retention_days": kept}), NOW)
    assert str(caught.value).count("does not exist") == 1
    assert counts(store, "trades", "late_trades", "book_metrics", "candles", "alerts", "feed_events") == [0] * 6


def test_a_table_that_somebody_has_locked_is_for_the_next_try_and_the_others_are_done(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, *every_kind())
    monkeypatch.setitem(connection._SESSION, "lock_timeout", "200ms")
    with psycopg.connect(store.url) as other:
        other.execute("LOCK TABLE agg_trades IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(RetryableError, match=r"^not cleaned up: agg_trades: "):
            maintenance.clean_up(store.settings.model_copy(update={"retention_days": {"trades": 1.0}}), NOW)
    assert counts(store, "trades", "late_trades", "agg_trades") == [0, 0, 1]


def test_the_command_cleans_by_todays_date(store: PostgresStore) -> None:
    fill(store, *every_kind())
    settings = TimescaleSinkSettings(
        pipeline="test",
        kafka=KafkaSettings(bootstrap_servers="unused:9092"),
        topic_prefix="test",
        consumer_group="test",
        batch_rows=1,
        flush_interval_ms=1,
        store=store.settings.model_copy(update={"retention_days": {"trades": 90.0, "book": 99_999.0}}),
    )
    assert maintenance.run(settings) == 0
    assert counts(store, "trades", "late_trades", "book_metrics", "candles") == [0, 0, 1, 1]
