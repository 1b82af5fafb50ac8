"""Requests as the exchange documents them; answers → values, and what an error status means."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.records import AggTrade, Trade
from marketpipeline.venues.adapter import Throttled, UnknownSymbol
from marketpipeline.venues.binance.adapter import ADAPTER
from marketpipeline.venues.instruments import Instrument
from marketpipeline.venues.messages import FrameError

SYMBOL = "binance:BTCUSDT"
NOW = 1_723_161_254_087_891


def test_requests_and_their_weights() -> None:
    found = {
        request.path: (dict(request.params), request.weight)
        for request in (
            ADAPTER.server_time(),
            ADAPTER.snapshot(SYMBOL),
            ADAPTER.trades(SYMBOL, 12, 1000),
            ADAPTER.agg_trades(SYMBOL, None, 1),
            *ADAPTER.instruments([SYMBOL, "binance:ETHUSDT"]),
        )
    }
    assert found == {
        "/api/v3/time": ({}, 1),
        "/api/v3/depth": ({"symbol": "BTCUSDT", "limit": "1000"}, 50),
        "/api/v3/historicalTrades": ({"symbol": "BTCUSDT", "limit": "1000", "fromId": "12"}, 25),
        "/api/v3/aggTrades": ({"symbol": "BTCUSDT", "limit": "1"}, 4),
        "/api/v3/exchangeInfo": ({"symbols": '["BTCUSDT","ETHUSDT"]', "showPermissionSets": "false"}, 20),
    }


def test_a_name_beyond_ascii_is_asked_for_as_it_is_written() -> None:
    (request,) = ADAPTER.instruments(["binance:币安人生USDT", SYMBOL])
    assert dict(request.params)["symbols"] == '["币安人生USDT","BTCUSDT"]'
    assert dict(ADAPTER.snapshot("binance:币安人生USDT").params)["symbol"] == "币安人生USDT"


def test_server_time_in_either_unit() -> None:
    read = ADAPTER.server_time().read
    assert read(b'{"serverTime":1723161254087}', NOW) == 1_723_161_254_087_000
    assert read(b'{"serverTime":1723161254087891}', NOW) == 1_723_161_254_087_891


def test_snapshots_of_a_capture(capture: Callable[[str], Path]) -> None:
    with gzip.open(capture("binance_illiquid_20211012_rest_depth.gz")) as lines:
        bodies = [line.rstrip().split(b" ", 2)[1:] for line in lines]
    assert len(bodies) == 4
    for url, body in bodies:
        symbol = f"binance:{url.split(b'symbol=')[1].split(b'&')[0].decode()}"
        snapshot = ADAPTER.snapshot(symbol).read(body, NOW)
        assert snapshot.bids == sorted(snapshot.bids, reverse=True)
        assert snapshot.asks == sorted(snapshot.asks)
        assert snapshot.bids_whole == (len(snapshot.bids) < 1000)
        assert snapshot.asks_whole == (len(snapshot.asks) < 1000)
    first = ADAPTER.snapshot("binance:NKNUSDT").read(bodies[0][1], NOW)
    assert (first.last_id, first.bids[0]) == (499869752, (0.3521, 672.0))


def test_past_trades_are_marked_backfilled() -> None:
    body = (
        b'[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,'
        b'"isBuyerMaker":true,"isBestMatch":true}]'
    )
    assert ADAPTER.trades(SYMBOL, 28457, 1).read(body, NOW).records == [
        Trade(
            symbol=SYMBOL,
            event_time=None,
            trade_time=1_499_865_549_590_000,
            receive_time=NOW,
            trade_id=28457,
            price=4.000001,
            quantity=12.0,
            taker_side="sell",
            backfilled=True,
        )
    ]


def test_past_aggregate_trades_are_marked_backfilled() -> None:
    body = b'[{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27783,"T":1498793709153,"m":false,"M":true}]'
    assert ADAPTER.agg_trades(SYMBOL, 26129, 1).read(body, NOW).records == [
        AggTrade(
            symbol=SYMBOL,
            event_time=None,
            trade_time=1_498_793_709_153_000,
            receive_time=NOW,
            agg_trade_id=26129,
            first_trade_id=27781,
            last_trade_id=27783,
            price=0.01633102,
            quantity=4.70443515,
            taker_side="buy",
            backfilled=True,
        )
    ]


ROW = '{"id":%d,"price":"4.0","qty":"%s","time":1499865549590,"isBuyerMaker":true}'


def test_a_bad_row_does_not_take_the_others_with_it() -> None:
    rows = [ROW % (3, "1"), ROW % (4, "0.00000000"), '{"id":"five"}', ROW % (6, "2")]
    page = ADAPTER.trades(SYMBOL, 3, 4).read(f"[{','.join(rows)}]".encode(), NOW)
    assert [trade.trade_id for trade in page.records] == [3, 6]
    assert [(row.number, row.payload.decode()) for row in page.bad] == [(4, rows[1]), (None, rows[2])]
    assert "$.qty" in page.bad[0].error
    assert page.rows == 4


def test_deep_nesting_is_an_error_like_any_other() -> None:
    with pytest.raises(FrameError, match="nested too deeply"):
        ADAPTER.snapshot(SYMBOL).read(b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}", NOW)


def test_listing_gives_full_ids() -> None:
    body = (
        b'{"timezone":"UTC","symbols":[{"symbol":"BTCUSDT","status":"TRADING","quoteAsset":"USDT"},'
        b'{"symbol":"ETHBTC","status":"BREAK","quoteAsset":"BTC"}]}'
    )
    (request,) = ADAPTER.instruments(None)
    assert request.read(body, NOW) == {
        "binance:BTCUSDT": Instrument(market="USDT"),
        "binance:ETHBTC": Instrument(market="BTC", trading=False),
    }


def test_volumes_are_in_the_quote_currency() -> None:
    (request,) = ADAPTER.volumes()
    assert (request.path, request.weight) == ("/api/v3/ticker/24hr", 80)
    body = (
        b'[{"symbol":"BTCUSDT","volume":"2.0","quoteVolume":"120000.50000000"},'
        b'{"symbol":"OLDUSDT","volume":"0.00000000","quoteVolume":"0.00000000"}]'
    )
    assert request.read(body, NOW) == {"binance:BTCUSDT": 120_000.5, "binance:OLDUSDT": 0.0}


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"lastUpdateId":1,"bids":[["x","1"]],"asks":[]}'])
def test_a_body_of_another_form_is_a_frame_error(body: bytes) -> None:
    with pytest.raises(FrameError) as caught:
        ADAPTER.snapshot(SYMBOL).read(body, NOW)
    assert caught.value.symbol == SYMBOL


@pytest.mark.parametrize(
    ("status", "headers", "error", "wait"),
    [
        (429, {"retry-after": "7"}, Throttled, 7.0),
        (429, {}, Throttled, 10.0),
        (418, {"retry-after": "300"}, Throttled, 300.0),
        (418, {}, Throttled, 120.0),
        (503, {}, RetryableError, None),
        (502, {"retry-after": "3"}, RetryableError, 3.0),
        (403, {}, RetryableError, None),
    ],
)
def test_what_may_be_asked_again(
    status: int, headers: dict[str, str], error: type[RetryableError], wait: float | None
) -> None:
    with pytest.raises(RetryableError) as caught:
        ADAPTER.judge(status, headers, b'{"code":-1003,"msg":"Too much request weight used."}')
    assert type(caught.value) is error
    assert caught.value.retry_after == wait
    assert "-1003: Too much request weight used." in str(caught.value)


def test_what_may_not() -> None:
    with pytest.raises(UnknownSymbol, match="HTTP 400: -1121: Invalid symbol"):
        ADAPTER.judge(400, {}, b'{"code":-1121,"msg":"Invalid symbol."}')
    with pytest.raises(PermanentError, match="HTTP 404: <html>"):
        ADAPTER.judge(404, {}, b"<html>")
    ADAPTER.judge(200, {}, b"")


def test_used_weight() -> None:
    assert ADAPTER.used_weight({"x-mbx-used-weight-1m": "75"}) == 75
    assert ADAPTER.used_weight({}) is None
