"""What happens as messages, read by the adapter of the exchange: both sides were written apart."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from marketpipeline.records import AggTrade as AggTradeRecord
from marketpipeline.records import ExchangeCandle, Quote, Ticker
from marketpipeline.records import Trade as TradeRecord
from marketpipeline.simulator.candles import Candle
from marketpipeline.simulator.events import AggTrade, BookDiff, BookSnapshot, DayStatistics, Event, Trade
from marketpipeline.simulator.events import Quote as QuoteEvent
from marketpipeline.simulator.frames import Frame, Kind
from marketpipeline.simulator.protocols.okx import PROTOCOL, encode
from marketpipeline.simulator.protocols.okx.instruments import sizes_of
from marketpipeline.topics import EXCHANGE_FEEDS
from marketpipeline.venues.adapter import StreamOptions
from marketpipeline.venues.instruments import Contract, in_base_units
from marketpipeline.venues.messages import BookChange, FlawedData, FrameError
from marketpipeline.venues.okx.adapter import ADAPTER

NAMES = ["BTC-USDT", "BTC-USDT-SWAP", "BTC-USD-261225"]
TIME = 1_652_459_225_393_000
MAPPER = ADAPTER.mapper(ADAPTER.streams([f"okx:{name}" for name in NAMES], EXCHANGE_FEEDS, StreamOptions()))


def read(frame: Frame) -> object:
    """The record that ingestion makes of it, in base units."""
    said = MAPPER.map(frame.message, 0)
    assert isinstance(said, tuple), said
    (record,) = said[1]
    sizes = sizes_of(frame.symbol)
    if sizes.kind == "SPOT":
        return record
    return in_base_units(record, Contract(float(sizes.value), sizes.inverse))


@pytest.mark.parametrize("name", NAMES)
def test_quantities_come_back_in_base_units(name: str) -> None:
    trade = read(PROTOCOL.encode(0, name, Trade(7, "61800.12000000", "0.01062000", TIME, TIME, True)))
    assert isinstance(trade, TradeRecord)
    assert (trade.trade_id, trade.price, trade.taker_side) == (7, 61800.12, "sell")
    assert trade.quantity == pytest.approx(0.01062, rel=1e-12)
    many = read(PROTOCOL.encode(0, name, AggTrade(3, "61800.12", "0.01062", 5, 7, TIME, TIME, False)))
    assert isinstance(many, AggTradeRecord)
    assert (many.first_trade_id, many.last_trade_id, many.taker_side) == (5, 7, "buy")
    assert many.quantity == pytest.approx(0.01062, rel=1e-12)
    quote = read(PROTOCOL.encode(TIME * 1000, name, QuoteEvent(9, "61800.0", "0.5", "61801.0", "0.25")))
    assert isinstance(quote, Quote)
    assert (quote.update_id, quote.event_time) == (9, TIME)
    assert (quote.bid_quantity, quote.ask_quantity) == pytest.approx((0.5, 0.25), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_frame_says_is_what_happened_as_the_instrument_counts(name: str) -> None:
    count = sizes_of(name).of_base
    events: list[Event] = [
        Trade(7, "61800", "0.01", TIME, TIME, True),
        AggTrade(7, "61800", "0.01", 5, 7, TIME, TIME, True),
        QuoteEvent(9, "61800", "0.5", "61801", "0.25"),
        BookDiff(3, 5, TIME, [("61800", "0.5")], [("61801", "0")]),
        BookSnapshot(5, [("61800", "0.5")], [("61801", "0.25")]),
    ]
    kinds = [Kind.TRADE, Kind.AGG_TRADE, Kind.QUOTE, Kind.DIFF, Kind.SNAPSHOT]
    for event, kind in zip(events, kinds, strict=True):
        frame = PROTOCOL.encode(TIME * 1000, name, event)
        (found,) = PROTOCOL.events(frame)
        assert (frame.kind, frame.symbol, type(found)) == (kind, name, type(event))
        if isinstance(found, Trade | AggTrade):
            assert (found.price, found.quantity, found.time) == ("61800", count("0.01", "61800"), TIME)
        if isinstance(found, BookDiff):
            assert (found.first_id, found.bids, found.asks) == (3, [("61800", count("0.5", "61800"))], [("61801", "0")])


def test_changes_name_the_one_before() -> None:
    change = read(PROTOCOL.encode(0, "BTC-USDT", BookDiff(3, 5, TIME, [("9.0", "0.0")], [])))
    assert isinstance(change, BookChange)
    assert (change.previous_id, change.last_id, change.bids, change.checksum) == (2, 5, [(9.0, 0.0)], 0)


@pytest.mark.parametrize(("name", "volume", "quote"), [(NAMES[0], 2.0, 202.0), (NAMES[1], 0.02, 2.02)])
def test_candles_and_statistics(name: str, volume: float, quote: float) -> None:
    candle = Candle(
        60_000_000 * 27_540_987, 60_000_000 * 27_540_988, "100", "102", "100", "102", Decimal(2), Decimal(202), 2,
        Decimal(1), Decimal(100), 1, 2,
    )  # fmt: skip
    record = read(encode.encode_candle(0, name, f"candle1m:{name}", "1m", candle, True, TIME))
    assert isinstance(record, ExchangeCandle)
    assert (record.closed, record.volume, record.quote_volume) == (True, volume, quote)
    day = DayStatistics(TIME, TIME, "100", "102", "100", "102", "1", Decimal(2), Decimal(202), 1, 2, 2, None)
    ticker = read(encode.encode_statistics(0, name, f"tickers:{name}", day))
    assert isinstance(ticker, Ticker)
    assert (ticker.volume, ticker.bid_price) == (volume, 0.0)


def test_broken_copies_are_refused_and_wrong_values_are_wrong() -> None:
    frame = PROTOCOL.encode(0, "BTC-USDT", Trade(7, "100.0", "1.0", TIME, TIME, True))
    for broken in PROTOCOL.malform(frame):
        try:
            assert isinstance(MAPPER.map(broken.message, 0), FlawedData)
        except FrameError:
            continue
    ahead = PROTOCOL.spoil(frame, "ahead")
    assert ahead is not None
    assert int(msgspec.json.decode(ahead.message)["data"][0]["ts"]) - TIME // 1000 == 86_400_000
    nothing = PROTOCOL.spoil(frame, "zero-quantity")
    assert nothing is not None
    assert isinstance(MAPPER.map(nothing.message, 0), FlawedData)
    assert PROTOCOL.spoil(frame, "one-sided") is None
    quote = PROTOCOL.spoil(PROTOCOL.encode(TIME * 1000, "BTC-USDT", QuoteEvent(9, "9", "1", "10", "1")), "one-sided")
    assert quote is not None
    assert isinstance(MAPPER.map(quote.message, 0), FlawedData)
