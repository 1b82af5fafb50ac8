"""A symbol at a moment, from the newest of each kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from marketpipeline.api.realtime import age_ms, summary
from marketpipeline.api.rows import json_of
from marketpipeline.api.stores import Newest

from tests.services.sinks.samples import BTC, START, book, candle, quote, ticker, trade

NOW = datetime.fromtimestamp(START / 1e6, UTC) + timedelta(seconds=60)


def test_everything() -> None:
    rows = Newest(json_of(trade(7)), json_of(quote(2)), json_of(book(1)), json_of(ticker()), {"1m": json_of(candle())})
    found = summary(BTC, rows, NOW)
    assert (found["symbol"], found["price"], found["price_time"]) == (
        BTC,
        trade(7).price,
        json_of(trade(7))["trade_time"],
    )
    assert (found["best_bid"], found["best_ask"]) == (book().best_bid, book().best_ask)
    assert found["imbalance"] == book().imbalance
    assert found["candles"] == {"1m": json_of(candle())}
    assert found["receive_time"] == json_of(candle())["receive_time"]
    assert found["age_ms"] == 10_000


def test_the_newer_of_quote_and_book_gives_the_spread() -> None:
    newer = quote(500, bid_price=60_000.0, ask_price=60_006.0)
    found = summary(BTC, Newest(quote=json_of(newer), book=json_of(book())), NOW)
    assert (found["mid"], found["spread"]) == (60_003.0, 6.0)
    assert found["spread_bps"] == pytest.approx(6 / 60_003 * 1e4)
    assert found["price"] == 60_003.0, "without a trade the mid"
    assert found["imbalance"] == book().imbalance


def test_nothing() -> None:
    found = summary(BTC, Newest(), NOW)
    assert found.pop("symbol") == BTC
    assert found.pop("candles") == {}
    assert set(found.values()) == {None}


def test_ages_are_not_clamped() -> None:
    assert age_ms("2024-08-08T23:55:00.250000Z", NOW) == -250
    assert age_ms(None, NOW) is None
