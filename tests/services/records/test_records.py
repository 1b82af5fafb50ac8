"""The records' JSON form: what is on the wire is what was reviewed, and comes back as it went."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest
from marketpipeline import records
from marketpipeline.records import AnyRecord, Record, decode, encode

TIMES: dict[str, Any] = {"event_time": 1_723_161_254_000_123, "receive_time": 1_723_161_254_001_456}
SYMBOL = "binance:BTCUSDT"
OHLC: dict[str, Any] = {"open": 1.5, "high": 2.0, "low": 1.25, "close": 1.75}

SAMPLES: dict[str, Record] = {
    "trade": records.Trade(
        symbol=SYMBOL, trade_time=1, trade_id=7, price=61_899.99, quantity=0.00012, taker_side="sell", **TIMES
    ),
    "agg_trade": records.AggTrade(
        symbol=SYMBOL,
        trade_time=1,
        agg_trade_id=7,
        first_trade_id=8,
        last_trade_id=9,
        price=1.0,
        quantity=2.0,
        taker_side="buy",
        **TIMES,
    ),
    "book": records.Book(symbol=SYMBOL, update_id=3, bids=[(2.0, 1.0), (1.5, 3.0)], asks=[(2.5, 1.0)], **TIMES),
    "quote": records.Quote(
        symbol=SYMBOL,
        event_time=None,
        receive_time=1,
        update_id=3,
        bid_price=1.0,
        bid_quantity=2.0,
        ask_price=3.0,
        ask_quantity=4.0,
    ),
    "ticker": records.Ticker(
        symbol=SYMBOL,
        last_price=1.0,
        last_quantity=1.0,
        bid_price=1.0,
        bid_quantity=1.0,
        ask_price=1.0,
        ask_quantity=1.0,
        open=1.0,
        high=1.0,
        low=1.0,
        volume=1.0,
        quote_volume=1.0,
        price_change=-0.01,
        **TIMES,
    ),
    "exchange_candle": records.ExchangeCandle(
        symbol=SYMBOL,
        interval="1m",
        open_time=0,
        closed=True,
        volume=1.0,
        quote_volume=1.0,
        trades=None,
        taker_buy_volume=None,
        **OHLC,
        **TIMES,
    ),
    "raw": records.RawFrame(
        symbol=SYMBOL,
        exchange="binance",
        connection="host/1",
        sequence=1,
        receive_time=1,
        stream="x@trade",
        payload="{}",
    ),
    "heartbeat": records.Heartbeat(symbol=SYMBOL, **TIMES),
    "feed_event": records.FeedEvent(symbol=SYMBOL, id="x", kind="gap", feed="book", first_id=1, last_id=2, **TIMES),
    "dead_letter": records.DeadLetter(
        symbol="", payload="{", encoding="utf-8", error="truncated", source="ws", ingestion_time=1
    ),
    "thresholds": records.SymbolThresholds(
        symbol=SYMBOL,
        effective_from=0,
        values={
            "imbalance_medium": 0.5,
            "imbalance_high": 0.7,
            "spread_widening": 2.0,
            "price_spike": 0.02,
            "whale_trade": 1e5,
            "volume_spike": 1e6,
        },
    ),
    "book_metrics": records.BookMetrics(
        symbol=SYMBOL,
        event_time=1,
        event_time_estimated=False,
        receive_time=2,
        process_time=3,
        update_id=4,
        best_bid=1.0,
        best_bid_quantity=1.0,
        best_ask=2.0,
        best_ask_quantity=1.0,
        mid=1.5,
        spread=1.0,
        spread_bps=6_666.666666666667,
        imbalance=0.0,
        weighted_imbalance=0.0,
        vtob_ratio=1.0,
        weighted_mid=1.5,
        bid_quantity=1.0,
        ask_quantity=1.0,
        bid_depth=None,
        ask_depth=2.0,
    ),
    "candle": records.Candle(
        symbol=SYMBOL,
        interval="1m",
        open_time=0,
        close_time=60_000_000,
        closed=False,
        volume=1.0,
        quote_volume=1.0,
        trades=1,
        taker_buy_volume=1.0,
        vwap=1.0,
        buy_sell_ratio=None,
        price_change=0.1,
        first_trade_id=1,
        last_trade_id=1,
        receive_time=1,
        process_time=2,
        **OHLC,
    ),
    "alert": records.Alert(
        symbol=SYMBOL,
        id="extreme_imbalance:binance:BTCUSDT:1",
        rule="extreme_imbalance",
        severity="HIGH",
        status="open",
        side="buy",
        started_at=1,
        ended_at=None,
        event_time=1,
        value=0.8,
        extreme=0.8,
        threshold=0.7,
        trade_id=None,
        receive_time=1,
        process_time=2,
    ),
    "trade_statistics": records.TradeStatistics(
        symbol=SYMBOL,
        interval="5m",
        open_time=0,
        close_time=300_000_000,
        complete=True,
        trades=2,
        quote_volume=3.0,
        taker_buy_volume=1.0,
        taker_sell_volume=0.5,
        vwap=2.0,
        price_change=-0.01,
        range_bps=12.5,
        realised_volatility=None,
        largest_trade=2.0,
        largest_trade_id=7,
        outliers=0,
        receive_time=1,
        process_time=2,
    ),
    "book_statistics": records.BookStatistics(
        symbol=SYMBOL,
        interval="1s",
        open_time=0,
        close_time=1_000_000,
        events=3,
        mid=100.0,
        spread_bps=1.0,
        imbalance=0.1,
        weighted_imbalance=0.2,
        bid_depth=None,
        ask_depth=5.0,
        lowest_imbalance=-0.3,
        lowest_imbalance_time=1,
        highest_imbalance=0.4,
        highest_imbalance_time=2,
        lowest_spread_bps=0.5,
        lowest_spread_time=3,
        highest_spread_bps=2.5,
        highest_spread_time=4,
        order_flow_imbalance=-7.5,
        bid_slope=1.5,
        ask_slope=None,
        normal_spread_bps=None,
        receive_time=5,
        process_time=6,
    ),
    "late_trade": records.LateTrade(
        symbol=SYMBOL,
        trade_time=1,
        receive_time=2,
        process_time=3,
        trade_id=4,
        price=1.0,
        quantity=1.0,
        taker_side="buy",
        clock=9,
    ),
}


def test_there_is_a_sample_of_each_type() -> None:
    assert {type(sample) for sample in SAMPLES.values()} == set(get_args(AnyRecord))


@pytest.mark.parametrize("tag", SAMPLES)
def test_each_comes_back_as_it_went(tag: str) -> None:
    data = encode(SAMPLES[tag])
    assert b"\n" not in data
    assert json.loads(data)["type"] == tag
    assert json.loads(data)["v"] == 1
    assert decode(data) == SAMPLES[tag]


def test_the_wire_form_of_a_trade_and_of_a_book() -> None:
    assert json.loads(encode(SAMPLES["trade"])) == {
        "type": "trade",
        "v": 1,
        "symbol": SYMBOL,
        **TIMES,
        "trade_time": 1,
        "trade_id": 7,
        "price": 61_899.99,
        "quantity": 0.00012,
        "taker_side": "sell",
        "backfilled": False,
        "contracts": None,
    }
    assert json.loads(encode(SAMPLES["book"]))["bids"] == [[2.0, 1.0], [1.5, 3.0]]


@pytest.mark.parametrize("text", ["61899.99", "0.00000001", "123456789012.345", "99999999.9999999", "0.1"])
def test_prices_of_fifteen_digits_come_back_exactly(text: str) -> None:
    trade = msgspec.structs.replace(SAMPLES["trade"], price=float(text))
    found = json.loads(encode(trade), parse_float=str)["price"]
    assert float(found) == float(text)
    assert decode(encode(trade)).price == float(text)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"type": "trad"}, "Invalid value 'trad'"),
        ({"v": 2}, "Expected `v` 1, got 2"),
        ({"price": "1.0"}, r"Expected `float`, got `str` - at `\$.price`"),
        ({"taker_side": "both"}, r"`\$.taker_side`"),
        ({"trade_id": None}, r"`\$.trade_id`"),
    ],
)
def test_what_is_no_record_is_refused_by_field(change: dict[str, Any], says: str) -> None:
    data = json.loads(encode(SAMPLES["trade"])) | change
    with pytest.raises(msgspec.ValidationError, match=says):
        decode(json.dumps(data).encode())


def test_a_missing_field_is_named() -> None:
    data = json.loads(encode(SAMPLES["trade"]))
    del data["price"]
    with pytest.raises(msgspec.ValidationError, match="missing required field `price`"):
        decode(json.dumps(data).encode())


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(b"{")


def test_a_field_that_is_new_to_us_does_not_matter() -> None:
    """A newer writer may add a field within the same version."""
    data = json.loads(encode(SAMPLES["heartbeat"])) | {"new": 1}
    assert decode(json.dumps(data).encode()) == SAMPLES["heartbeat"]


def test_a_dead_letter_is_cut_to_its_begin_once() -> None:
    letter = records.DeadLetter(
        symbol=SYMBOL, payload="é" * 100_001, encoding="utf-8", error="no", source="s", ingestion_time=1
    )
    cut = records.cut_dead_letter(encode(letter))
    found = decode(cut)
    assert isinstance(found, records.DeadLetter)
    assert found == msgspec.structs.replace(
        letter, payload="é" * 100_000, error="no (payload cut to 100000 of 100001 characters)"
    )
    assert records.cut_dead_letter(cut) == cut
