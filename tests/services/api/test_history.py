"""What the command line's `query` reads, from a real database."""

from __future__ import annotations

from typing import Any

import pytest
from marketpipeline.api.history import WHAT, columns_of, query
from marketpipeline.api.rows import json_of
from marketpipeline.errors import InvalidQuery, PermanentError, RetryableError

from tests.conftest import free_port
from tests.services.api.serving import Stores
from tests.services.sinks.samples import BTC, ETH, START, alert, book, candle, feed_event, trade
from tests.services.sinks.stores import PostgresStore
from tests.support.postgres import RunningPostgres


@pytest.fixture
def dsn(stores: Stores) -> str:
    """A database with some of everything."""
    fill = feed_event(5, kind="backfill", feed="trades", id="backfill:1")
    stores.put(*(trade(number) for number in range(50)), trade(1, ETH), book(1), book(2), only="timescale")
    stores.put(candle(0, closed=True), candle(1), candle(0, interval="5m"), only="timescale")
    stores.put(alert(0), alert(1), feed_event(0), fill, only="timescale")
    return stores.postgres.url


def ask(dsn: str, what: Any, symbol: str = BTC, *arguments: Any, **more: Any) -> list[dict[str, Any]]:
    return list(query(dsn, what, symbol, *arguments, **more))


def test_rows_are_the_records(dsn: str) -> None:
    assert ask(dsn, "candles", BTC, "1m") == [json_of(candle(0, closed=True)), json_of(candle(1))]
    assert ask(dsn, "candles", BTC, "5m") == [json_of(candle(0, interval="5m"))]
    assert ask(dsn, "candles") == ask(dsn, "candles", BTC, "1m")
    assert ask(dsn, "book") == [json_of(book(1)), json_of(book(2))]
    assert ask(dsn, "trades") == [json_of(trade(number)) for number in range(50)]
    assert ask(dsn, "alerts", "BTCUSDT") == [json_of(alert(0)), json_of(alert(1))]
    assert ask(dsn, "gaps") == [json_of(feed_event(0))]
    assert [row["kind"] for row in ask(dsn, "events")] == ["gap", "backfill"]
    assert ask(dsn, "gaps", ETH) == []


@pytest.mark.parametrize("what", WHAT)
def test_columns(dsn: str, what: Any) -> None:
    for row in ask(dsn, what):
        assert tuple(row) == columns_of(what)


def test_spans_and_limits(dsn: str) -> None:
    def ids(*arguments: Any) -> list[int]:
        return [row["trade_id"] - 1_000 for row in ask(dsn, "trades", BTC, None, *arguments)]

    assert ids("2024-08-08T23:54:00.010Z", "2024-08-08T23:54:00.013Z") == [10, 11, 12]
    assert ids("2024-08-08T23:54:00.010Z", None, 2) == [10, 11]
    assert ids(None, None, 2) == [48, 49]
    assert ids(None, "2024-08-08T23:54:00.013Z", 2) == [11, 12]


def test_gaps_go_by_the_exchanges_time(stores: Stores) -> None:
    """As a run that reads a recording, whose own clock is far from the exchange's."""
    ours = [START + 86_400_000_000 + number for number in range(3)]
    told = [
        feed_event(5, id="later", receive_time=ours[0]),
        feed_event(1, id="earlier", receive_time=ours[1]),
        feed_event(2, id="no time", event_time=None, receive_time=START + 3_000_000),
    ]
    stores.put(*told, only="timescale")

    def ids(*arguments: Any) -> list[str]:
        return [row["id"] for row in ask(stores.postgres.url, "gaps", BTC, None, *arguments, symbols=[BTC])]

    assert ids() == ["earlier", "no time", "later"]
    assert ids("2024-08-08T23:54:01Z", "2024-08-08T23:54:05Z") == ["earlier", "no time"]
    assert ids("2024-08-08T23:54:02Z", None, 1) == ["no time"]
    assert ids(None, "2024-08-08T23:54:05Z", 1) == ["no time"]
    assert ids("2024-08-09T12:00:00Z") == []


def test_what_is_wrong_is_named(dsn: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        ask(dsn, "candles", "BTCUSD", "7m", "soon", None)
    assert [(problem.field, problem.value) for problem in caught.value.problems] == [
        ("SYMBOL", "BTCUSD"),
        ("--interval", "7m"),
        ("--from", "soon"),
    ]
    assert "did you mean BTCUSDT?" in str(caught.value)
    assert "there are: 1m, 5m" in str(caught.value)


def test_symbols_and_windows_that_have_no_rows_yet(dsn: str) -> None:
    assert ask(dsn, "candles", "SOLUSDT", "1h", symbols=["binance:SOLUSDT"], windows=["1h"]) == []


def test_reading_stops_when_nobody_wants_more(dsn: str) -> None:
    rows = query(dsn, "trades", BTC)
    assert next(rows)["trade_id"] == 1_000
    rows.close()


def test_without_tables_or_without_a_database(postgres: RunningPostgres, database: str) -> None:
    with pytest.raises(PermanentError, match="nothing is stored here yet"):
        ask(PostgresStore(postgres, database).url, "trades")
    with pytest.raises(RetryableError, match="the database is away"):
        ask(f"postgresql://x@127.0.0.1:{free_port()}/x", "trades")
