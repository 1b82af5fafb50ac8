"""The layout of the cache: which record is newer."""

from __future__ import annotations

import pytest
from marketpipeline.records import Record
from marketpipeline.store import LatestKeys
from marketpipeline.store.latest import alert_order, latest_entries

from tests.services.sinks.samples import BTC, START, agg_trade, alert, book, candle, heartbeat, quote, ticker, trade


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (trade(1), trade(2)),
        (trade(1, trade_id=9, trade_time=START), trade(1, trade_id=10, trade_time=START)),
        (quote(1), quote(2)),
        (quote(1, update_id=99), quote(1, update_id=100)),
        (book(1), book(2)),
        (ticker(1), ticker(2)),
        (candle(0), candle(1)),
        (candle(0, trades=99), candle(0, trades=100)),
        (candle(0, trades=100), candle(0, trades=100, closed=True)),
        (candle(0, trades=99, closed=True), candle(0, trades=100)),
        (candle(0, closed=True, complete=False), candle(0, closed=True)),
        (candle(0, closed=True), candle(1, trades=1)),
    ],
)
def test_orders_sort_as_the_records_follow_one_another(older: Record, newer: Record) -> None:
    (kind, before), (same, after) = next(latest_entries(older)), next(latest_entries(newer))
    assert kind == same
    assert before < after


def test_a_closed_candle_is_also_the_newest_closed_one() -> None:
    assert [kind for kind, _ in latest_entries(candle())] == ["candle:1m"]
    assert [kind for kind, _ in latest_entries(candle(closed=True))] == ["candle:1m", "closed-candle:1m"]


def test_a_heartbeat_of_any_feed_is_the_newest_by_its_receive_time() -> None:
    (first,), (second,) = latest_entries(heartbeat(9)), latest_entries(heartbeat(10))
    assert first[0] == second[0] == "heartbeat"
    assert first[1] < second[1]


def test_records_that_are_not_kept() -> None:
    assert [*latest_entries(agg_trade()), *latest_entries(alert())] == []


def test_an_alert_goes_forward() -> None:
    opened = alert(event_time=START + 10)
    resent = alert(event_time=START + 20)
    escalated = alert(status="escalated", event_time=START + 5)
    closed = alert(status="closed", event_time=START + 1)
    orders = [alert_order(record) for record in (opened, resent, escalated, closed)]
    assert orders == sorted(orders)
    assert len(set(orders)) == 4


def test_keys() -> None:
    keys = LatestKeys("crypto")
    assert keys.latest("candle:1m", BTC) == "crypto:latest:candle:1m:binance:BTCUSDT"
    assert keys.alerts == ("crypto:{alerts}:records", "crypto:{alerts}:order", "crypto:{alerts}:index")
