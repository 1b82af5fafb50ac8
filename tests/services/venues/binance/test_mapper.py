"""Real payloads → records, and payloads that must give nothing or an error."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marketpipeline.records import AggTrade, Book, ExchangeCandle, Quote, Ticker, Trade
from marketpipeline.topics import EXCHANGE_FEEDS
from marketpipeline.venues.adapter import Mapper, StreamOptions
from marketpipeline.venues.binance.adapter import ADAPTER
from marketpipeline.venues.messages import (
    Acknowledged,
    BookChange,
    FlawedData,
    FrameError,
    GoingDown,
    Mapped,
    MarketData,
    Refused,
)

RECEIVED = 1_723_161_254_087_891
SYMBOLS = ["binance:BTCUSDT", "binance:NKNUSDT", "binance:LRCBTC"]


def make_mapper(symbols: list[str] = SYMBOLS, *, partial: bool = False) -> Mapper:
    options = StreamOptions(levels=20, partial_depth=partial)
    return ADAPTER.mapper(ADAPTER.streams(symbols, EXCHANGE_FEEDS, options))


MAPPER = make_mapper()


def frames(path: Path) -> list[bytes]:
    with gzip.open(path) as capture:
        return [line.split(b" ", 1)[1].rstrip() for line in capture]


def first(path: Path, stream: str, number: int = 0) -> bytes:
    """A frame of a capture: the `number`-th of a stream."""
    prefix = f'{{"stream":"{stream}"'.encode()
    return [frame for frame in frames(path) if frame.startswith(prefix)][number]


def only(said: Mapped) -> MarketData:
    """The one record of a frame."""
    assert isinstance(said, tuple)
    stream, (record,) = said
    assert record.symbol == stream.symbol
    return record


def refusal(payload: bytes) -> tuple[str, str]:
    """Why a frame or its only row cannot be used, and the symbol."""
    try:
        said = MAPPER.map(payload, RECEIVED)
    except FrameError as error:
        return str(error), error.symbol
    assert isinstance(said, FlawedData)
    assert not said.records
    (row,) = said.bad
    assert row.payload == payload
    return row.error, said.stream.symbol


@pytest.fixture
def btc(real_capture: Callable[[str], Path]) -> Path:
    return real_capture("binance_btcusdt_20240808.gz")


@pytest.fixture
def illiquid(real_capture: Callable[[str], Path]) -> Path:
    return real_capture("binance_illiquid_20211012.gz")


def test_trade(btc: Path) -> None:
    assert only(MAPPER.map(first(btc, "btcusdt@trade"), RECEIVED)) == Trade(
        symbol="binance:BTCUSDT",
        event_time=1_723_161_255_343_000,
        trade_time=1_723_161_255_342_000,
        receive_time=RECEIVED,
        trade_id=3_735_683_259,
        price=61837.63,
        quantity=0.02,
        taker_side="sell",
    )


def test_quote(btc: Path) -> None:
    assert only(MAPPER.map(first(btc, "btcusdt@bookTicker"), RECEIVED)) == Quote(
        symbol="binance:BTCUSDT",
        event_time=None,
        receive_time=RECEIVED,
        update_id=50_093_239_212,
        bid_price=61837.63,
        bid_quantity=3.78826,
        ask_price=61837.64,
        ask_quantity=1.54698,
    )


def test_depth_change(btc: Path) -> None:
    assert only(MAPPER.map(first(btc, "btcusdt@depth@100ms", 1), RECEIVED)) == BookChange(
        symbol="binance:BTCUSDT",
        event_time=1_723_161_255_308_000,
        receive_time=RECEIVED,
        first_id=50_093_239_203,
        last_id=50_093_239_207,
        bids=[(55653.87, 0.0)],
        asks=[(61838.04, 0.32332), (61844.3, 0.40163), (61862.5, 0.05019), (61862.51, 0.0)],
    )


def test_agg_trade(illiquid: Path) -> None:
    assert only(MAPPER.map(first(illiquid, "nknusdt@aggTrade"), RECEIVED)) == AggTrade(
        symbol="binance:NKNUSDT",
        event_time=1_633_998_523_963_000,
        trade_time=1_633_998_523_963_000,
        receive_time=RECEIVED,
        agg_trade_id=15_683_430,
        first_trade_id=19_862_790,
        last_trade_id=19_862_790,
        price=0.3528,
        quantity=58.0,
        taker_side="buy",
    )


def test_candle(illiquid: Path) -> None:
    assert only(MAPPER.map(first(illiquid, "nknusdt@kline_1m"), RECEIVED)) == ExchangeCandle(
        symbol="binance:NKNUSDT",
        event_time=1_633_998_523_963_000,
        receive_time=RECEIVED,
        interval="1m",
        open_time=1_633_998_480_000_000,
        closed=False,
        open=0.3527,
        high=0.3528,
        low=0.3522,
        close=0.3528,
        volume=25877.0,
        quote_volume=9116.046,
        trades=30,
        taker_buy_volume=58.0,
    )


TICKER = (
    b'{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","E":1723161255001,"s":"BTCUSDT","p":"6612.10000000",'
    b'"P":"11.973","w":"58000.10000000","x":"55225.50000000","c":"61837.60000000","Q":"0.02000000",'
    b'"b":"61837.60000000","B":"3.70000000","a":"61837.70000000","A":"1.50000000","o":"55225.50000000",'
    b'"h":"62745.10000000","l":"54730.00000000","v":"44979.20000000","q":"2611000000.50000000",'
    b'"O":1723074855001,"C":1723161255001,"F":3732000000,"L":3735683259,"n":3683260}}'
)


def test_ticker() -> None:
    assert only(MAPPER.map(TICKER, RECEIVED)) == Ticker(
        symbol="binance:BTCUSDT",
        event_time=1_723_161_255_001_000,
        receive_time=RECEIVED,
        last_price=61837.6,
        last_quantity=0.02,
        bid_price=61837.6,
        bid_quantity=3.7,
        ask_price=61837.7,
        ask_quantity=1.5,
        open=55225.5,
        high=62745.1,
        low=54730.0,
        volume=44979.2,
        quote_volume=2611000000.5,
        price_change=61837.6 / 55225.5 - 1,
        vwap=58000.1,
        trades=3683260,
    )


def test_ticker_of_a_day_without_trades() -> None:
    quiet = TICKER
    for name, old in ((b"o", b"55225.50000000"), (b"c", b"61837.60000000"), (b"w", b"58000.10000000")):
        quiet = quiet.replace(b'"%s":"%s"' % (name, old), b'"%s":"0.00000000"' % name)
    record = only(MAPPER.map(quiet.replace(b'"n":3683260', b'"n":0'), RECEIVED))
    assert isinstance(record, Ticker)
    assert (record.price_change, record.vwap, record.trades) == (0.0, None, 0)


def test_partial_depth_takes_symbol_from_the_wrapper_and_has_no_time() -> None:
    frame = (
        b'{"stream":"btcusdt@depth20@100ms","data":{"lastUpdateId":160,"bids":[["99.10","2"],["99.00","1"],'
        b'["98.00","0.00000000"]],"asks":[["99.50","3"],["99.20","4"]]}}'
    )
    assert only(make_mapper(partial=True).map(frame, RECEIVED)) == Book(
        symbol="binance:BTCUSDT",
        event_time=None,
        receive_time=RECEIVED,
        update_id=160,
        bids=[(99.1, 2.0), (99.0, 1.0)],
        asks=[(99.2, 4.0), (99.5, 3.0)],
    )


def test_microseconds_are_told_from_milliseconds(btc: Path) -> None:
    frame = first(btc, "btcusdt@trade")
    exact = frame.replace(b"1723161255343", b"1723161255343123").replace(b"1723161255342", b"1723161255342987")
    record = only(MAPPER.map(exact, RECEIVED))
    assert isinstance(record, Trade)
    assert (record.event_time, record.trade_time) == (1_723_161_255_343_123, 1_723_161_255_342_987)


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b'{"result":null,"id":7}', Acknowledged(7)),
        (b'{"id":7,"result":null}', Acknowledged(7)),
        (b'{"result":["btcusdt@trade"],"id":3}', Acknowledged(3)),
        (b'{"result":null,"id":"other"}', None),
        (b'{"result":null,"id":null}', None),
        (b'{"code":2,"msg":"Invalid request","id":4}', Refused(4, "2: Invalid request")),
        (b'{"error":{"code":3,"msg":"Invalid JSON"},"id":5}', Refused(5, "3: Invalid JSON")),
        (b'{"error":{"code":2,"msg":"Too many requests"}}', Refused(None, "2: Too many requests")),
        (b'{"e":"serverShutdown","E":1770123456789}', GoingDown("serverShutdown")),
        (b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}', GoingDown("serverShutdown")),
    ],
)  # fmt: skip
def test_what_is_no_market_data(payload: bytes, value: object) -> None:
    assert MAPPER.map(payload, RECEIVED) == value


def test_a_wrapper_in_another_order_and_an_event_without_one(btc: Path) -> None:
    frame = first(btc, "btcusdt@trade")
    data = frame.partition(b'"data":')[2][:-1]
    expected = MAPPER.map(frame, RECEIVED)
    assert MAPPER.map(b'{"data":' + data + b',"stream":"btcusdt@trade"}', RECEIVED) == expected
    assert MAPPER.map(b'{ "stream": "btcusdt@trade", "data": ' + data + b"}", RECEIVED) == expected
    assert MAPPER.map(data, RECEIVED) == expected
    quote = first(btc, "btcusdt@bookTicker")
    assert MAPPER.map(quote.partition(b'"data":')[2][:-1], RECEIVED) == MAPPER.map(quote, RECEIVED)


TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":1,"p":"61837.63000000",'
    b'"q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)
QUOTE = b'{"stream":"btcusdt@bookTicker","data":{"u":5,"s":"BTCUSDT","b":"10.0","B":"1.0","a":"10.1","A":"2.0"}}'
DEPTH = (
    b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":10,"u":12,'
    b'"b":[["10.0","1.0"]],"a":[["10.1","2.0"]]}}'
)
KLINE = (
    b'{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1633998523963,"s":"BTCUSDT","k":{"t":1633998480000,'
    b'"T":1633998539999,"s":"BTCUSDT","i":"1m","f":1,"L":2,"o":"2","c":"3","h":"4","l":"1","v":"5","n":2,"x":true,'
    b'"q":"6","V":"2","Q":"3","B":"0"}}}'
)


@pytest.mark.parametrize(
    ("frame", "old", "new", "says"),
    [
        (TRADE, b'"61837.63000000"', b'"n/a"', "$.data.p"),
        (TRADE, b'"61837.63000000"', b'"nan"', "$.data.p"),
        (TRADE, b'"61837.63000000"', b'"Infinity"', "$.data.p"),
        (TRADE, b'"61837.63000000"', b'"1e999"', "$.data.p"),
        (TRADE, b'"61837.63000000"', b'"0.00000000"', "$.data.p"),
        (TRADE, b'"0.02000000"', b'"-0.02000000"', "$.data.q"),
        (TRADE, b'"t":1,', b"", "`t`"),
        (TRADE, b'"t":1', b'"t":-1', "$.data.t"),
        (TRADE, b'"BTCUSDT"', b'"NOSUCHUSDT"', "unknown symbol 'NOSUCHUSDT'"),
        (TRADE, b'"m":true', b'"m":"perhaps"', "$.data.m"),
        (TRADE, b'"M":true}}', b"", "not JSON"),
        (QUOTE, b'"b":"10.0"', b'"b":"10.1"', "crossed: bid 10.1 is not below ask 10.1"),
        (QUOTE, b'"A":"2.0"', b'"A":"-2.0"', "$.data.A"),
        (DEPTH, b'["10.1","2.0"]', b'["10.1","-2.0"]', "$.data.a[0][1]"),
        (DEPTH, b'["10.1","2.0"]', b'["10.1"]', "$.data.a[0]"),
        (DEPTH, b'"u":12', b'"u":9', "last update 9 before first update 10"),
        (KLINE, b'"h":"4"', b'"h":"2.5"', "outside of low 1.0 to high 2.5"),
    ],
)
def test_what_makes_no_sense_is_an_error_that_names_it(frame: bytes, old: bytes, new: bytes, says: str) -> None:
    assert MAPPER.map(frame, RECEIVED) is not None
    assert old in frame
    error, symbol = refusal(frame.replace(old, new, 1))
    assert says in error
    assert symbol == "binance:BTCUSDT"


@pytest.mark.parametrize(
    ("old", "new", "number"),
    [
        (b'"q":"0.02000000"', b'"q":"0.00000000"', 1),
        (b'"p":"61837.63000000"', b'"p":"nan"', 1),
        (b'"T":1723161255342', b'"T":1723161255342000000', None),
        (b'"E":1723161255343', b'"E":1723161255', None),
    ],
)
def test_the_id_of_a_trade_that_cannot_be_used_is_told_unless_rest_may_have_it_right(
    old: bytes, new: bytes, number: int | None
) -> None:
    frame = TRADE.replace(old, new)
    assert frame != TRADE
    if number is None:
        with pytest.raises(FrameError, match=r"\$\.data\.[ET]"):
            MAPPER.map(frame, RECEIVED)
    else:
        said = MAPPER.map(frame, RECEIVED)
        assert isinstance(said, FlawedData)
        assert [row.number for row in said.bad] == [number]


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (QUOTE.replace(b'"b":"10.0","B":"1.0"', b'"b":"0.00000000","B":"0.00000000"'), "one-sided book"),
        (QUOTE.replace(b'"a":"10.1","A":"2.0"', b'"a":"0.00000000","A":"0.00000000"'), "one-sided book"),
        (
            KLINE.replace(
                b'"o":"2","c":"3","h":"4","l":"1","v":"5","n":2', b'"o":"0","c":"0","h":"0","l":"0","v":"0","n":0'
            ),
            "never traded",
        ),
    ],
)
def test_what_is_right_and_tells_nothing_is_counted_by_a_word(frame: bytes, why: str) -> None:
    assert frame not in (QUOTE, KLINE)
    said = MAPPER.map(frame, RECEIVED)
    assert isinstance(said, FlawedData)
    assert (said.records, said.bad, said.nothing) == ((), (), why)


@pytest.mark.parametrize("wrap", [b'{"stream":"btcusdt@trade","data":{"x":%s}}', b'{"x":%s}'])
def test_deep_nesting_is_an_error_like_any_other(wrap: bytes) -> None:
    with pytest.raises(FrameError, match="nested too deeply"):
        MAPPER.map(wrap % (b"[" * 5000 + b"]" * 5000), RECEIVED)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "not JSON"),
        (b"<html>502 Bad Gateway</html>", "not JSON"),
        (b"\xff\xfe{", "not JSON"),
        (b"[1,2]", "not as documented"),
        (b"{}", "neither a stream, an answer nor an event"),
        (b'{"stream":"dogeusdt@trade","data":{"e":"trade"}}', "unknown stream 'dogeusdt@trade'"),
        (b'{"stream":"btcusdt@trade"}', "not as documented"),
        (b'{"e":"somethingNew","E":1}', "unknown event 'somethingNew'"),
        (b'{"e":"trade","s":"DOGEUSDT"}', "unknown symbol 'DOGEUSDT'"),
        (b'{"lastUpdateId":1,"bids":[],"asks":[]}', "neither a stream, an answer nor an event"),
    ],
)
def test_what_is_nothing_known_is_an_error(payload: bytes, says: str) -> None:
    with pytest.raises(FrameError, match=says.replace("$", r"\$")):
        MAPPER.map(payload, RECEIVED)


@pytest.mark.parametrize(
    ("bids", "asks", "says"),
    [
        (b'["10.2","1"]', b'["10.1","1"]', "crossed"),
        (b'["10.0","1"],["10.0","2"]', b'["10.1","1"]', "price 10.0 twice in bids"),
        (b'["10.0","-1"]', b'["10.1","1"]', r"\$\.data\.bids\[0\]\[1\]"),
    ],
)
def test_a_partial_book_that_is_none(bids: bytes, asks: bytes, says: str) -> None:
    frame = b'{"stream":"btcusdt@depth20@100ms","data":{"lastUpdateId":1,"bids":[%s],"asks":[%s]}}' % (bids, asks)
    with pytest.raises(FrameError, match=says):
        make_mapper(partial=True).map(frame, RECEIVED)


def test_every_frame_of_the_captures_gives_its_record(real_capture: Callable[[str], Path]) -> None:
    counts: Counter[str] = Counter()
    for name in ("btcusdt", "ethusdt"):
        mapper = make_mapper([f"binance:{name.upper()}"])
        for frame in frames(real_capture(f"binance_{name}_20240808.gz")):
            if frame.startswith(b'{"stream"'):
                counts[type(only(mapper.map(frame, RECEIVED))).__name__] += 1
    assert counts == {"BookChange": 3451 + 3434, "Quote": 28040 + 24077, "Trade": 9757 + 6106}


def test_prices_survive_exactly(btc: Path) -> None:
    """A price printed again is the price that was sent."""
    for frame in frames(btc)[:4000]:
        record = only(MAPPER.map(frame, RECEIVED)) if frame.startswith(b'{"stream"') else None
        if isinstance(record, Trade):
            assert f"{record.price:.8f}" == json.loads(frame)["data"]["p"]


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_frame_error(payload: bytes) -> None:
    with contextlib.suppress(FrameError):
        MAPPER.map(payload, RECEIVED)


@given(st.integers(0, len(DEPTH) - 1), st.binary(min_size=1, max_size=3))
def test_a_frame_with_wrong_bytes_gives_a_value_or_a_frame_error(place: int, wrong: bytes) -> None:
    with contextlib.suppress(FrameError):
        MAPPER.map(DEPTH[:place] + wrong + DEPTH[place + len(wrong) :], RECEIVED)
