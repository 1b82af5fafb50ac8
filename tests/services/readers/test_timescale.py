"""The SQL of every query, and what only a database can be asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from marketpipeline.errors import RetryableError
from marketpipeline.readers import HistoryQuery, Span
from marketpipeline.readers.timescale import TimescaleReader, _refusal, latest, select
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.store import table_of
from marketpipeline.store.rows import json_of
from pydantic import SecretStr

from tests.services.sinks.samples import BTC, ETH, START, deliver, feed_event, trade
from tests.services.sinks.stores import PostgresStore
from tests.support.postgres import PASSWORD, RunningPostgres

SINCE, UNTIL = datetime(2024, 8, 8, tzinfo=UTC), datetime(2024, 8, 9, tzinfo=UTC)
EVENTS, TRADES = table_of("feed_events"), table_of("trades")
COLUMNS = '"symbol", "id", "kind", "feed", "event_time", "receive_time", "first_id", "last_id", "detail", "process"'
TIME = 'coalesce("event_time", "receive_time")'


def test_all_rows_in_order_of_time() -> None:
    sql, values = select(HistoryQuery(EVENTS, {"symbol": "a:B", "kind": ["gap", "backfill"]}))
    assert sql.as_string() == (
        f'SELECT {COLUMNS} FROM "feed_events" WHERE "symbol" = %s AND "kind" = ANY(%s) ORDER BY {TIME}, "id"'
    )
    assert values == ["a:B", ["gap", "backfill"]]


def test_the_first_ones_of_a_span() -> None:
    sql, values = select(HistoryQuery(EVENTS, {}, Span(SINCE, UNTIL, 5)))
    assert sql.as_string() == (
        f'SELECT {COLUMNS} FROM "feed_events" WHERE {TIME} >= %s AND {TIME} < %s ORDER BY {TIME}, "id" LIMIT %s'
    )
    assert values == [SINCE, UNTIL, 5]


def test_the_newest_ones_in_order_of_time() -> None:
    sql, values = select(HistoryQuery(EVENTS, {}, Span(None, UNTIL, 5)))
    assert sql.as_string() == (
        f'SELECT * FROM (SELECT {COLUMNS} FROM "feed_events" WHERE {TIME} < %s'
        f' ORDER BY {TIME} DESC, "id" DESC LIMIT %s) AS newest ORDER BY {TIME}, "id"'
    )
    assert values == [UNTIL, 5]


def test_the_newest_first() -> None:
    sql, _ = select(HistoryQuery(EVENTS, {}, Span(SINCE, None, 5), newest_first=True))
    assert sql.as_string().endswith(f'WHERE {TIME} >= %s ORDER BY {TIME} DESC, "id" DESC LIMIT %s')


def test_the_newest_row_of_each_symbol() -> None:
    sql, values = latest(table_of("candles"), ["a:B", "a:C"], {"interval": "1m"})
    text = sql.as_string()
    assert text.startswith("SELECT newest.* FROM unnest(%s::text[]) AS wanted(name) CROSS JOIN LATERAL (SELECT ")
    assert text.endswith(
        'FROM "candles" WHERE symbol = wanted.name AND "interval" = %s ORDER BY "open_time" DESC LIMIT 1) AS newest'
    )
    assert values == [["a:B", "a:C"], "1m"]


async def asked(settings: TimescaleStoreSettings, query: HistoryQuery) -> list[list[dict[str, Any]]]:
    """The batches of an answer."""
    reader = TimescaleReader(settings, "test", 10.0)
    await reader.open()
    try:
        return [batch async for batch in reader.history(query)]
    finally:
        await reader.close()


async def test_more_rows_than_a_batch_are_streamed(postgres: RunningPostgres, database: str) -> None:
    store = PostgresStore(postgres, database)
    sink = store.sink()
    sink.open()
    sink.write(deliver(*(trade(number) for number in range(12_000)), trade(1, ETH)))
    sink.close()
    batches = await asked(store.settings, HistoryQuery(TRADES, {"symbol": BTC}))
    assert [len(batch) for batch in batches] == [5_000, 5_000, 2_000]
    assert [row["trade_id"] for batch in batches for row in batch] == list(range(1_000, 13_000))
    (few,) = await asked(store.settings, HistoryQuery(TRADES, {"symbol": BTC}, Span(limit=2)))
    assert few == [json_of(trade(11_998)), json_of(trade(11_999))]


async def test_gaps_go_by_the_exchanges_time(postgres: RunningPostgres, database: str) -> None:
    """As a run that reads a recording, whose own clock is far from the exchange's."""
    ours = [START + 86_400_000_000 + number for number in range(3)]
    store = PostgresStore(postgres, database)
    sink = store.sink()
    sink.open()
    sink.write(
        deliver(
            feed_event(5, id="later", receive_time=ours[0]),
            feed_event(1, id="earlier", receive_time=ours[1]),
            feed_event(2, id="no time", event_time=None, receive_time=START + 3_000_000),
        )
    )
    sink.close()

    async def ids(*span: Any) -> list[str]:
        batches = await asked(store.settings, HistoryQuery(EVENTS, {"kind": "gap"}, Span(*span)))
        return [row["id"] for batch in batches for row in batch]

    def at(text: str) -> datetime:
        return datetime.fromisoformat(text)

    assert await ids() == ["earlier", "no time", "later"]
    assert await ids(at("2024-08-08T23:54:01Z"), at("2024-08-08T23:54:05Z")) == ["earlier", "no time"]
    assert await ids(at("2024-08-08T23:54:02Z"), None, 1) == ["no time"]
    assert await ids(None, at("2024-08-08T23:54:05Z"), 1) == ["no time"]
    assert await ids(at("2024-08-09T12:00:00Z")) == []


async def test_a_database_without_tables(postgres: RunningPostgres, database: str) -> None:
    settings = TimescaleStoreSettings(url=postgres.url(database), password=SecretStr(PASSWORD))
    with pytest.raises(RetryableError, match="has no tables yet: no sink has made them"):
        await asked(settings, HistoryQuery(TRADES))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("FATAL: password authentication failed for user", "password authentication failed for user"),
        ("fe_sendauth: no password supplied", "fe_sendauth: no password supplied"),
        ("FATAL: no pg_hba.conf entry for host", "no pg_hba.conf entry for host"),
        ("Connection refused", ""),
        ("FATAL: the database system is starting up", ""),
    ],
)
def test_what_waiting_does_not_change_is_told(said: str, told: str) -> None:
    assert _refusal(f'connection to server at "127.0.0.1", port 5432 failed: {said}') == told
