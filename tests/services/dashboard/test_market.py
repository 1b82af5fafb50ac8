"""What the stream has told: the newest counts, and what came last is bounded."""

from __future__ import annotations

from typing import Any

from marketpipeline.dashboard.market import STRETCH_SECONDS, Market, Moment, milliseconds
from marketpipeline.records import Record
from marketpipeline.store.rows import json_of

from tests.services.sinks.samples import BTC, ETH, MINUTE, START, alert, book, candle, raw_book, ticker


def rows(kind: str, *records: Record) -> list[dict[str, Any]]:
    return [{"kind": kind, **json_of(record)} for record in records]


def test_the_newest_of_each_symbol() -> None:
    market = Market()
    market.take(
        [*rows("book", book(1), book(2, ETH), book(3)), *rows("levels", raw_book(1)), *rows("ticker", ticker())]
    )
    newest, levels = market.book(BTC), market.levels(BTC)
    assert newest is not None
    assert newest["update_id"] == 7_003
    assert levels is not None
    assert levels["bids"][0] == (61_000.0, 1.0)
    assert market.ticker(BTC) is not None
    assert market.ticker(ETH) is None
    market.forget_levels(besides=frozenset({ETH}))
    assert market.levels(BTC) is None


def test_measures_are_kept_a_moment_a_second_for_ten_minutes() -> None:
    market = Market()
    market.take(rows("book", *(book(number) for number in range(25))))
    times = [moment.time - START // 1_000 for moment in market.stretch(BTC)]
    assert times == [0, 1_000, 2_000], "of ten updates a second one"
    assert market.stretch(BTC)[0] == Moment(START // 1_000, 61_000.005, book(0).spread_bps, book(0).imbalance, -0.25)
    market.take(rows("book", *(book(10 * number) for number in range(STRETCH_SECONDS + 50))))
    assert len(market.stretch(BTC)) == STRETCH_SECONDS
    assert market.stretch(ETH) == ()


def test_a_candle_only_grows_and_the_oldest_go() -> None:
    market = Market()
    market.take(rows("candle", candle(0, trades=9), candle(0, trades=7), candle(1), candle(1, interval="5m")))
    assert [row["trades"] for row in market.candles(BTC, "1m")] == [9, 100]
    market.fill(rows("candle", *(candle(-number) for number in range(1, 400))))
    found = market.candles(BTC, "1m")
    assert len(found) == 300
    assert milliseconds(found[-1]["open_time"]) == (START + MINUTE) // 1_000
    assert len(market.candles(BTC, "5m")) == 1


def test_an_alert_is_there_once_as_it_is_now_and_the_newest_come_first() -> None:
    market = Market()
    closed = alert(1, status="closed", ended_at=START, event_time=START + 9_000_000)
    market.take(rows("alert", alert(0), closed, alert(1), alert(2, ETH)))
    assert [(row["symbol"], row["status"]) for row in market.alerts()] == [
        (ETH, "open"),
        (BTC, "closed"),
        (BTC, "open"),
    ]
    market.fill(rows("alert", *(alert(number) for number in range(3, 1_200))))
    assert len(market.alerts()) == 1_000


def test_what_was_before_tells_nothing_of_now() -> None:
    market = Market()
    market.fill(rows("candle", candle(0)))
    assert market.age(BTC) is None
    market.take(rows("candle", candle(1)))
    assert market.age(BTC) is not None
