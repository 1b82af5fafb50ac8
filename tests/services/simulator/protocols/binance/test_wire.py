"""Reading Binance's messages in all their forms, and writing them in either time unit."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from marketpipeline.simulator.captures import load
from marketpipeline.simulator.derived import Derivation
from marketpipeline.simulator.events import AggTrade, BookDiff, BookSnapshot, Quote, Trade
from marketpipeline.simulator.frames import Kind
from marketpipeline.simulator.protocols.binance import wire

TRADE = (
    b'{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":37,"p":"6.30","q":"0.02","T":1723161255342,"m":true,"M":true}'
)
AGG = (
    b'{"e":"aggTrade","E":1700000000001,"s":"BNBBTC","a":5,"p":"1.0","q":"2.0","f":1,"l":4,"T":1700000000000,'
    b'"m":false,"M":true}'
)
DIFF = b'{"e":"depthUpdate","E":1700000000001,"s":"BNBBTC","U":157,"u":160,"b":[["1.0","10"]],"a":[["2.0","0"]]}'
QUOTE = b'{"u":400,"s":"BNBUSDT","b":"25.35","B":"31.21","a":"25.36","A":"40.66"}'
BOOK = b'{"lastUpdateId":160,"bids":[["1.0","10"]],"asks":[]}'
KLINE = (
    b'{"e":"kline","E":1700000000001,"s":"BNBBTC","k":{"t":1699999980000,"T":1700000039999,"s":"BNBBTC","i":"1m",'
    b'"f":1,"L":2,"o":"1","c":"1","h":"1","l":"1","v":"1","n":2,"x":false,"q":"1","V":"1","Q":"1","B":"0"}}'
)


@pytest.mark.parametrize(
    ("payload", "stream", "kind", "event"),
    [
        (TRADE, "btcusdt@trade", Kind.TRADE, Trade(37, "6.30", "0.02", 1723161255342000, 1723161255343000, True)),
        (
            AGG,
            "bnbbtc@aggTrade",
            Kind.AGG_TRADE,
            AggTrade(5, "1.0", "2.0", 1, 4, 1700000000000000, 1700000000001000, False),
        ),
        (
            DIFF,
            "bnbbtc@depth@100ms",
            Kind.DIFF,
            BookDiff(157, 160, 1700000000001000, [("1.0", "10")], [("2.0", "0")]),
        ),
        (QUOTE, "bnbusdt@bookTicker", Kind.QUOTE, Quote(400, "25.35", "31.21", "25.36", "40.66")),
    ],
)
def test_bare_and_wrapped_are_the_same(payload: bytes, stream: str, kind: Kind, event: object) -> None:
    wrapped = b'{"stream":"' + stream.encode() + b'","data":' + payload + b"}"
    for message in (payload, wrapped):
        frame = wire.read(9, message)
        assert frame is not None
        assert (frame.due, frame.stream, frame.kind) == (9, stream, kind)
        assert frame.message == wrapped
        assert frame.payload == payload
        assert wire.decode(frame) == event


def test_other_streams_pass_as_they_are() -> None:
    for message in (KLINE, b'{"stream":"bnbbtc@kline_1m","data":' + KLINE + b"}"):
        frame = wire.read(0, message)
        assert frame is not None
        assert (frame.stream, frame.symbol, frame.kind) == ("bnbbtc@kline_1m", "BNBBTC", Kind.OTHER)
        assert frame.event_time == 1700000000001000
    partial = wire.read(0, b'{"stream":"bnbbtc@depth20@100ms","data":' + BOOK + b"}")
    assert partial is not None
    assert (partial.symbol, partial.kind, partial.event_time) == ("BNBBTC", Kind.OTHER, 0)


@pytest.mark.parametrize(
    "message",
    [
        b'{"result":null,"id":1}',
        b'{"result":["a@trade"],"id":null}',
        b'{"error":{"code":2,"msg":"x"},"id":1}',
        b'{"code":3,"msg":"x"}',
        b'{"e":"serverShutdown","E":1700000000000}',
        b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1700000000000}}',
    ],
)
def test_what_is_no_market_data_is_left_out(message: bytes) -> None:
    assert wire.read(0, message) is None


def test_snapshots_with_and_without_their_symbol() -> None:
    bare = wire.read(0, BOOK)
    named = wire.read_rest(0, "https://x/api/v3/depth?symbol=BNBBTC&limit=1000", BOOK)
    assert bare is not None
    assert named is not None
    assert (bare.symbol, named.symbol) == ("", "BNBBTC")
    assert wire.decode(bare) == wire.decode(named) == BookSnapshot(160, [("1.0", "10")], [])
    assert wire.read_rest(0, "https://x/api/v3/exchangeInfo", b"{}") is None


@pytest.mark.parametrize("payload", [TRADE, AGG, DIFF, KLINE])
def test_times_in_the_other_unit_and_back(payload: bytes) -> None:
    frame = wire.read(0, payload)
    assert frame is not None
    assert not frame.microseconds
    finer = wire.read(0, wire.in_other_unit(frame))
    assert finer is not None
    assert finer.microseconds
    assert finer.event_time == frame.event_time
    assert wire.in_other_unit(finer) == frame.message
    times = re.findall(rb'"[ETt]":(\d{13,})', finer.message)
    assert all(len(time) == 16 for time in times)


def test_a_candle_ends_one_unit_before_the_next_in_both_units() -> None:
    frame = wire.read(0, KLINE)
    assert frame is not None
    body = msgspec.json.decode(wire.in_other_unit(frame))["data"]
    assert body["k"]["T"] == 1700000039999999
    assert body["k"]["t"] == 1699999980000000


@pytest.mark.parametrize("name", ["binance_btcusdt_20240808.gz", "binance_illiquid_20211012.gz"])
def test_a_real_capture_says_the_same_in_both_units(capture: Callable[[str], Path], name: str) -> None:
    frames = load(capture(name), (wire.read, wire.read_rest), 1 << 30).frames()
    for frame in list(frames)[:5000]:
        if frame.kind in (Kind.TRADE, Kind.DIFF, Kind.AGG_TRADE):
            finer = wire.read(frame.due, wire.in_other_unit(frame))
            assert finer is not None
            assert wire.decode(finer) == wire.decode(frame)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ("btcusdt@depth20@100ms", Derivation("partial", "BTCUSDT", 100_000, levels=20)),
        ("btcusdt@depth5", Derivation("partial", "BTCUSDT", 1_000_000, levels=5)),
        ("btcusdt@depth", Derivation("diff", "BTCUSDT", 1_000_000)),
        ("btcusdt@ticker", Derivation("statistics", "BTCUSDT", 1_000_000)),
        ("btcusdt@kline_1m", Derivation("candle", "BTCUSDT", 2_000_000, interval=("1m", 60_000_000))),
        ("btcusdt@kline_1s", Derivation("candle", "BTCUSDT", 1_000_000, interval=("1s", 1_000_000))),
        ("btcusdt@depth@100ms", None),
        ("btcusdt@depth7", None),
        ("btcusdt@kline_7m", None),
        ("btcusdt@trade", None),
        ("BTCUSDT@ticker", None),
        ("btcusdt", None),
    ],
)
def test_streams_that_follow_from_others(stream: str, expected: Derivation | None) -> None:
    assert wire.derive(stream) == expected


@pytest.mark.parametrize(
    ("stream", "symbol"),
    [
        ("btcusdt@depth", "BTCUSDT"),
        ("1inchusdt@depth@100ms", "1INCHUSDT"),
        ("BTCUSDT@depth", ""),
        ("btcusdt@depth20", ""),
    ],
)
def test_readers_of_these_need_a_snapshot(stream: str, symbol: str) -> None:
    assert wire.diff_symbol(stream) == symbol
