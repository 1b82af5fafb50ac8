from __future__ import annotations

import json

import pytest
from marketpipeline.topics import EXCHANGE_FEEDS, Feed
from marketpipeline.venues.adapter import SnapshotSource, StreamOptions
from marketpipeline.venues.okx import VENUE
from marketpipeline.venues.okx.adapter import ADAPTER

SPOT, SWAP = "okx:BTC-USDT", "okx:BTC-USDT-SWAP"


@pytest.mark.parametrize("name", ["BTC-USDT", "1INCH-USDT", "BTC-USDT-SWAP", "BTC-USD-261225", "BTC-USD_UM-SWAP"])
def test_symbols(name: str) -> None:
    assert VENUE.accepts(name)


@pytest.mark.parametrize("name", ["BTCUSDT", "btc-usdt", "BTC-USD-2612", "BTC-USD-261225-60000-C", "BTC-USDT-swap", ""])
def test_what_is_none(name: str) -> None:
    assert not VENUE.accepts(name)


def test_streams_are_channels_and_instruments_on_two_addresses() -> None:
    streams = ADAPTER.streams([SPOT, SWAP], EXCHANGE_FEEDS, StreamOptions())
    assert [(stream.name, stream.endpoint) for stream in streams[:6]] == [
        ("books:BTC-USDT", "public"),
        ("trades-all:BTC-USDT", "business"),
        ("trades:BTC-USDT", "public"),
        ("bbo-tbt:BTC-USDT", "public"),
        ("tickers:BTC-USDT", "public"),
        ("candle1m:BTC-USDT", "business"),
    ]
    assert {stream.symbol for stream in streams[6:]} == {SWAP}
    assert ADAPTER.url(VENUE.websocket_url, "business") == "wss://ws.okx.com:8443/ws/v5/business"


def test_top_levels() -> None:
    options = StreamOptions(5, partial_depth=True)
    (stream,) = ADAPTER.streams([SPOT], [Feed.BOOK], options)
    assert stream.name == "books5:BTC-USDT"
    assert ADAPTER.book_rules(options).snapshot is SnapshotSource.EVERY
    assert ADAPTER.book_rules(StreamOptions()).snapshot is SnapshotSource.PUSHED


def test_control_messages() -> None:
    streams = ADAPTER.streams([SPOT], [Feed.BOOK, Feed.TICKERS], StreamOptions())
    arguments = [{"channel": "books", "instId": "BTC-USDT"}, {"channel": "tickers", "instId": "BTC-USDT"}]
    assert json.loads(ADAPTER.subscribe(3, streams)) == {"op": "subscribe", "args": arguments}
    assert json.loads(ADAPTER.unsubscribe(4, streams[:1])) == {"op": "unsubscribe", "args": arguments[:1]}


def test_a_message_of_the_most_streams_is_below_what_the_exchange_takes() -> None:
    symbols = [f"okx:{'X' * 12}{number:04}-USDT-SWAP" for number in range(ADAPTER.limits.subscribe_batch)]
    streams = ADAPTER.streams(symbols, [Feed.TRADES], StreamOptions())
    assert len(ADAPTER.subscribe(1, streams)) < 64 * 1024


def test_what_counts_contracts() -> None:
    counted = [ADAPTER.counts_contracts(symbol) for symbol in (SPOT, SWAP, "okx:BTC-USD-261225", "okx:BTC-USD_UM-SWAP")]
    assert counted == [False, True, True, True]
