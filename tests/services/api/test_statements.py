"""The SQL of every query."""

from __future__ import annotations

from datetime import UTC, datetime

from marketpipeline.api.arguments import Span
from marketpipeline.api.statements import latest, select
from marketpipeline.store import table_of

SINCE, UNTIL = datetime(2024, 8, 8, tzinfo=UTC), datetime(2024, 8, 9, tzinfo=UTC)
EVENTS = table_of("feed_events")
COLUMNS = '"symbol", "id", "kind", "feed", "event_time", "receive_time", "first_id", "last_id", "detail"'
TIME = 'coalesce("event_time", "receive_time")'


def test_all_rows_in_order_of_time() -> None:
    sql, values = select(EVENTS, {"symbol": "a:B", "kind": ["gap", "backfill"]}, Span())
    assert sql.as_string() == (
        f'SELECT {COLUMNS} FROM "feed_events" WHERE "symbol" = %s AND "kind" = ANY(%s) ORDER BY {TIME}, "id"'
    )
    assert values == ["a:B", ["gap", "backfill"]]


def test_the_first_ones_of_a_span() -> None:
    sql, values = select(EVENTS, {}, Span(SINCE, UNTIL, 5))
    assert sql.as_string() == (
        f'SELECT {COLUMNS} FROM "feed_events" WHERE {TIME} >= %s AND {TIME} < %s ORDER BY {TIME}, "id" LIMIT %s'
    )
    assert values == [SINCE, UNTIL, 5]


def test_the_newest_ones_in_order_of_time() -> None:
    sql, values = select(EVENTS, {}, Span(None, UNTIL, 5))
    assert sql.as_string() == (
        f'SELECT * FROM (SELECT {COLUMNS} FROM "feed_events" WHERE {TIME} < %s'
        f' ORDER BY {TIME} DESC, "id" DESC LIMIT %s) AS newest ORDER BY {TIME}, "id"'
    )
    assert values == [UNTIL, 5]


def test_the_newest_first() -> None:
    sql, _ = select(EVENTS, {}, Span(SINCE, None, 5), newest_first=True)
    assert sql.as_string().endswith(f'WHERE {TIME} >= %s ORDER BY {TIME} DESC, "id" DESC LIMIT %s')


def test_the_newest_row_of_each_symbol() -> None:
    sql, values = latest(table_of("candles"), ["a:B", "a:C"], {"interval": "1m"})
    text = sql.as_string()
    assert text.startswith("SELECT newest.* FROM unnest(%s::text[]) AS wanted(name) CROSS JOIN LATERAL (SELECT ")
    assert text.endswith(
        'FROM "candles" WHERE symbol = wanted.name AND "interval" = %s ORDER BY "open_time" DESC LIMIT 1) AS newest'
    )
    assert values == [["a:B", "a:C"], "1m"]
