from __future__ import annotations

import json

import pytest
from marketpipeline.topics import EXCHANGE_FEEDS, Feed
from marketpipeline.venues import venues
from marketpipeline.venues.adapter import StreamOptions, load_adapter
from marketpipeline.venues.binance.adapter import ADAPTER


def test_streams_are_in_lower_case_and_those_of_a_symbol_side_by_side() -> None:
    streams = ADAPTER.streams(["binance:BTCUSDT", "binance:ETHUSDT"], EXCHANGE_FEEDS, StreamOptions())
    assert [stream.name for stream in streams[:6]] == [
        "btcusdt@depth@100ms",
        "btcusdt@trade",
        "btcusdt@aggTrade",
        "btcusdt@bookTicker",
        "btcusdt@ticker",
        "btcusdt@kline_1m",
    ]
    assert {stream.symbol for stream in streams[6:]} == {"binance:ETHUSDT"}


def test_a_name_beyond_ascii_is_in_lower_case_too() -> None:
    (stream,) = ADAPTER.streams(["binance:币安人生USDT"], [Feed.TRADES], StreamOptions())
    assert stream.name == "币安人生usdt@trade"


@pytest.mark.parametrize(("levels", "name"), [(5, "depth5"), (7, "depth10"), (20, "depth20"), (50, "depth20")])
def test_partial_depth_is_the_least_that_is_enough(levels: int, name: str) -> None:
    streams = ADAPTER.streams(["binance:BTCUSDT"], [Feed.BOOK], StreamOptions(levels, partial_depth=True))
    assert [stream.name for stream in streams] == [f"btcusdt@{name}@100ms"]


def test_control_messages() -> None:
    streams = ADAPTER.streams(["binance:BTCUSDT"], [Feed.TRADES, Feed.TICKERS], StreamOptions())
    message = json.loads(ADAPTER.subscribe(3, streams))
    assert message == {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "btcusdt@ticker"], "id": 3}
    assert json.loads(ADAPTER.unsubscribe(4, streams[:1])) == {
        "method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 4,
    }  # fmt: skip


def test_the_url_asks_for_microseconds() -> None:
    assert ADAPTER.url("wss://host:9443/", "") == "wss://host:9443/stream?timeUnit=MICROSECOND"


def test_every_venue_has_an_adapter() -> None:
    for name in venues():
        assert load_adapter(name).limits.control.count > 0
