"""Real payloads → records, and payloads that must give nothing or an error."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marketpipeline.records import AggTrade, Book, ExchangeCandle, Quote, Ticker, Trade
from marketpipeline.topics import EXCHANGE_FEEDS
from marketpipeline.venues.adapter import Mapper, StreamOptions
from marketpipeline.venues.messages import (
    Acknowledged,
    BookChange,
    BookSnapshot,
    FlawedData,
    FrameError,
    GoingDown,
    Pong,
    Refused,
)
from marketpipeline.venues.okx.adapter import ADAPTER

RECEIVED = 1_652_459_225_503_749
TS = "1652459225393"
SPOT, SWAP, FUTURE = "BTC-USDT", "UNI-USD-SWAP", "BTC-USD-220527"


def make_mapper(*, partial: bool = False) -> Mapper:
    symbols = [f"okx:{name}" for name in (SPOT, SWAP, FUTURE)]
    return ADAPTER.mapper(ADAPTER.streams(symbols, EXCHANGE_FEEDS, StreamOptions(5, partial_depth=partial)))


MAPPER = make_mapper()


def message(channel: str, rows: list[Any], name: str = SPOT, **more: Any) -> bytes:
    return json.dumps(
        {"arg": {"channel": channel, "instId": name}, **more, "data": rows}, separators=(",", ":")
    ).encode()


def trade_row(**more: Any) -> dict[str, Any]:
    row = {"instId": SPOT, "tradeId": "130", "px": "42219.9", "sz": "0.12", "side": "buy", "ts": TS, "source": "0"}
    return row | more


def only(payload: bytes, mapper: Mapper = MAPPER) -> Any:
    said = mapper.map(payload, RECEIVED)
    assert isinstance(said, tuple), said
    (record,) = said[1]
    return record


def refused(payload: bytes) -> FrameError:
    with pytest.raises(FrameError) as caught:
        MAPPER.map(payload, RECEIVED)
    return caught.value


def test_every_line_of_the_capture_says_something(capture: Callable[[str], Path]) -> None:
    kinds: Counter[str] = Counter()
    with gzip.open(capture("okx_20220513.gz")) as lines:
        for line in lines:
            said = MAPPER.map(line.split(b" ", 1)[1].rstrip(), RECEIVED)
            kinds[type(said[1][0] if isinstance(said, tuple) else said).__name__] += 1
    assert kinds == {"BookChange": 287, "BookSnapshot": 3, "AggTrade": 74, "Ticker": 28, "Acknowledged": 18}


def test_a_trade_alone() -> None:
    record = only(message("trades-all", [trade_row()]))
    assert isinstance(record, Trade)
    assert (record.trade_id, record.price, record.quantity, record.taker_side) == (130, 42219.9, 0.12, "buy")
    assert record.event_time == record.trade_time == int(TS) * 1000
    assert record.symbol == "okx:BTC-USDT"


def test_matches_of_one_taker_span_their_ids() -> None:
    record = only(message("trades", [trade_row(count="3", seqId=7)]))
    assert isinstance(record, AggTrade)
    assert (record.agg_trade_id, record.first_trade_id, record.last_trade_id) == (130, 128, 130)


def test_of_several_trades_one_that_is_wrong_does_not_take_the_others_with_it() -> None:
    rows = [trade_row(), trade_row(tradeId="131", sz="0"), trade_row(tradeId="132"), trade_row(tradeId="133", ts="5")]
    said = MAPPER.map(message("trades-all", rows), RECEIVED)
    assert isinstance(said, FlawedData)
    assert [record.trade_id for record in said.records if isinstance(record, Trade)] == [130, 132]
    assert [(bad.number, json.loads(bad.payload)["tradeId"]) for bad in said.bad] == [(131, "131"), (None, "133")]


def test_changes_of_a_book() -> None:
    row = {"asks": [["8", "0", "0", "0"]], "bids": [["7", "2.5", "0", "3"]], "ts": TS, "checksum": 0, "seqId": 12}
    record = only(message("books", [row | {"prevSeqId": 9}], action="update"))
    assert isinstance(record, BookChange)
    assert (record.first_id, record.last_id, record.previous_id) == (10, 12, 9)
    assert (record.bids, record.asks) == ([(7.0, 2.5)], [(8.0, 0.0)])
    assert record.raw is None, "a checksum of 0 is none"
    record = only(message("books", [row | {"prevSeqId": -1}], action="snapshot"))
    assert isinstance(record, BookSnapshot)
    assert (record.last_id, record.symbol) == (12, "okx:BTC-USDT")


def test_a_checksum_comes_with_the_levels_as_they_are_written() -> None:
    row = {"asks": [["8.10", "0.50", "0", "1"]], "bids": [], "ts": TS, "checksum": -914047754}
    record = only(message("books", [row], action="update"))
    assert isinstance(record, BookChange)
    assert (record.checksum, record.raw) == (-914047754, ([], [("8.10", "0.50")]))
    assert (record.last_id, record.previous_id) == (int(TS), None), "without sequence numbers the time is one"


def test_top_levels_and_quotes() -> None:
    row = {"asks": [["8", "1", "0", "1"]], "bids": [["7", "2", "0", "1"]], "ts": TS, "seqId": 5}
    book, quote = only(message("books5", [row]), make_mapper(partial=True)), only(message("bbo-tbt", [row]))
    assert isinstance(book, Book)
    assert isinstance(quote, Quote)
    assert (book.update_id, book.bids, book.asks) == (5, [(7.0, 2.0)], [(8.0, 1.0)])
    assert (quote.update_id, quote.bid_price, quote.ask_quantity) == (5, 7.0, 1.0)
    one_sided = MAPPER.map(message("bbo-tbt", [row | {"bids": []}]), RECEIVED)
    assert isinstance(one_sided, FlawedData)
    assert one_sided.nothing == "one-sided book"
    crossed = refused(message("bbo-tbt", [row | {"bids": [["9", "2", "0", "1"]]}]))
    assert "crossed" in str(crossed)


@pytest.mark.parametrize(
    ("name", "volume", "quote_volume", "contracts"),
    [(SPOT, 17602.5, 525802090.5, None), (SWAP, 525802090.5, None, 17602.5)],
)
def test_tickers(name: str, volume: float, quote_volume: float | None, contracts: float | None) -> None:
    row = {
        "instType": "SPOT", "instId": name, "last": "30236", "lastSz": "0.0002", "askPx": "30228.7", "askSz": "1.5",
        "bidPx": "", "bidSz": "", "open24h": "29700", "high24h": "31073", "low24h": "28020.3", "ts": TS,
        "volCcy24h": "525802090.5", "vol24h": "17602.5",
    }  # fmt: skip
    record = only(message("tickers", [row], name))
    assert isinstance(record, Ticker)
    assert (record.volume, record.quote_volume, record.contracts) == (volume, quote_volume, contracts)
    assert (record.bid_price, record.bid_quantity, record.ask_price) == (0.0, 0.0, 30228.7)
    said = MAPPER.map(message("tickers", [row | {"last": ""}], name), RECEIVED)
    assert isinstance(said, FlawedData)
    assert said.nothing == "never traded"
    assert "vol24h" in str(refused(message("tickers", [row | {"vol24h": "many"}], name)))


@pytest.mark.parametrize(("name", "volume", "contracts"), [(SPOT, 12.0, None), (FUTURE, 34.0, 12.0)])
def test_candles(name: str, volume: float, contracts: float | None) -> None:
    row = ["1652459220000", "10", "12", "9", "11", "12", "34", "340", "1"]
    record = only(message("candle1m", [row], name))
    assert isinstance(record, ExchangeCandle)
    assert (record.open_time, record.closed, record.event_time) == (1_652_459_220_000_000, True, None)
    assert (record.volume, record.quote_volume, record.contracts) == (volume, 340.0, contracts)
    assert "outside" in str(refused(message("candle1m", [[*row[:2], "9.5", *row[3:]]], name)))


def test_answers_errors_and_notices() -> None:
    ack = MAPPER.map(b'{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a4"}', RECEIVED)
    assert isinstance(ack, Acknowledged)
    assert ack.stream is not None
    assert ack.stream.name == "books:BTC-USDT"
    said = "Wrong URL or channel:candle1m,instId:BTC-USDT doesn't exist. Please use the correct URL"
    error = MAPPER.map(json.dumps({"event": "error", "code": "60018", "msg": said}).encode(), RECEIVED)
    assert isinstance(error, Refused)
    assert error.stream is not None
    assert (error.stream.name, error.number) == ("candle1m:BTC-USDT", None)
    whole = MAPPER.map(b'{"event":"error","code":"60012","msg":"Invalid request: {}"}', RECEIVED)
    assert whole == Refused(None, "60012: Invalid request: {}", None)
    notice = b'{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade."}'
    assert isinstance(MAPPER.map(notice, RECEIVED), GoingDown)
    too_many = b'{"event":"error","code":"60014","msg":"Requests too frequent"}'
    assert isinstance(MAPPER.map(too_many, RECEIVED), GoingDown), "another connection may subscribe again"
    assert MAPPER.map(b"pong", RECEIVED) == Pong()
    for nothing in (b'{"event":"unsubscribe","arg":{"channel":"books","instId":"BTC-USDT"}}', b'{"event":"notice"}'):
        assert MAPPER.map(nothing, RECEIVED) is None


def test_fields_in_another_order() -> None:
    payload = json.dumps({"data": [trade_row()], "arg": {"instId": SPOT, "channel": "trades-all", "x": 1}}).encode()
    assert isinstance(only(payload), Trade)


@pytest.mark.parametrize(
    ("payload", "said", "symbol"),
    [
        (b"<html>502 Bad Gateway</html>", "not JSON", ""),
        (message("trades-all", [trade_row()])[:-20], "not JSON", "okx:BTC-USDT"),
        (message("trades-all", [trade_row()], "ETH-USDT"), "unknown channel trades-all:ETH-USDT", ""),
        (message("trades-all", [trade_row(ts="1652459225393000")]), "not as documented", "okx:BTC-USDT"),
        (message("trades", [trade_row(count="200")]), "200 trades up to id 130", "okx:BTC-USDT"),
        (message("books", [], action="whole"), "not as documented", "okx:BTC-USDT"),
        (b'{"data":' + b"[" * 100_000, "nested too deeply", ""),
        (b'{"foo":1}', "neither an event nor data", ""),
    ],
)
def test_what_cannot_be_used(payload: bytes, said: str, symbol: str) -> None:
    error = refused(payload)
    assert said in str(error)
    assert error.symbol == symbol


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"px": "n/a"}, "not as documented"),
        ({"sz": "1e30"}, "not as documented"),
        ({"side": "hold"}, "not as documented"),
        ({"instId": "ETH-USDT"}, "unknown instrument 'ETH-USDT'"),
        ({"count": "2"}, "2 trades in one"),
    ],
)
def test_a_trade_that_cannot_be_used_is_known_by_its_id(wrong: dict[str, str], said: str) -> None:
    payload = message("trades-all", [trade_row(**wrong)])
    found = MAPPER.map(payload, RECEIVED)
    assert isinstance(found, FlawedData)
    (bad,) = found.bad
    assert said in bad.error
    assert (bad.payload, bad.number) == (payload, 130)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_are_a_value_or_an_error(noise: bytes, place: int) -> None:
    payload = message("books", [{"asks": [["8", "0", "0", "0"]], "bids": [], "ts": TS, "seqId": 1}], action="update")
    with contextlib.suppress(FrameError):
        MAPPER.map(payload[:place] + noise + payload[place + len(noise) :], RECEIVED)
