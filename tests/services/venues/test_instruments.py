"""Contracts as base units, with the number as it came beside."""

from __future__ import annotations

import pytest
from marketpipeline.records import Book, ExchangeCandle, Heartbeat, Quote, Ticker, Trade
from marketpipeline.venues.instruments import Contract, in_base_units

LINEAR, INVERSE = Contract(0.01), Contract(100.0, inverse=True)


@pytest.mark.parametrize(
    ("contract", "contracts", "price", "base"),
    [
        (LINEAR, 1.312, 61_799.0, 0.01312),
        (LINEAR, 29.0, 1.0, 0.29),
        (Contract(10.0), 3.0, 5.0, 30.0),
        (Contract(0.03), 100.0, 5.0, 3.0),
        (INVERSE, 3.0, 30_000.0, 0.01),
        (INVERSE, 0.0, 0.0, 0.0),
    ],
)
def test_base_units(contract: Contract, contracts: float, price: float, base: float) -> None:
    assert contract.base(contracts, price) == base


def test_a_trade_keeps_its_number_of_contracts() -> None:
    trade = Trade(
        symbol="x:A", event_time=1, trade_time=1, receive_time=2, trade_id=3, price=25_000.0, quantity=5.0,
        taker_side="buy",
    )  # fmt: skip
    made = in_base_units(trade, INVERSE)
    assert (made.quantity, made.contracts) == (0.02, 5.0)
    assert (in_base_units(trade, LINEAR).quantity, trade.contracts) == (0.05, None)


def test_each_level_is_converted_at_its_price() -> None:
    book = Book(symbol="x:A", event_time=1, receive_time=2, update_id=3, bids=[(100.0, 2.0)], asks=[(200.0, 2.0)])
    made = in_base_units(book, INVERSE)
    assert (made.bids, made.asks) == ([(100.0, 2.0)], [(200.0, 1.0)])
    assert (made.bid_contracts, made.ask_contracts) == ([2.0], [2.0])


def test_quotes_and_tickers_are_sizes_at_prices_and_volumes_stay() -> None:
    quote = Quote(
        symbol="x:A", event_time=1, receive_time=2, update_id=3, bid_price=100.0, bid_quantity=2.0, ask_price=200.0,
        ask_quantity=2.0,
    )  # fmt: skip
    made = in_base_units(quote, INVERSE)
    assert (made.bid_quantity, made.ask_quantity, made.bid_contracts, made.ask_contracts) == (2.0, 1.0, 2.0, 2.0)
    ticker = Ticker(
        symbol="x:A", event_time=1, receive_time=2, last_price=100.0, last_quantity=4.0, bid_price=0.0,
        bid_quantity=0.0, ask_price=200.0, ask_quantity=2.0, open=1.0, high=1.0, low=1.0, volume=7.0,
        quote_volume=None, price_change=0.0, contracts=50.0,
    )  # fmt: skip
    made = in_base_units(ticker, INVERSE)
    assert (made.last_quantity, made.last_contracts, made.bid_quantity, made.ask_quantity) == (4.0, 4.0, 0.0, 1.0)
    assert (made.volume, made.contracts, made.quote_volume) == (7.0, 50.0, 5_000.0), "a contract is 100 quote units"
    assert in_base_units(ticker, LINEAR).quote_volume is None


def test_what_has_no_size_at_a_price_is_left_alone() -> None:
    beat = Heartbeat(symbol="x:A", event_time=1, receive_time=2)
    candle = ExchangeCandle(
        symbol="x:A", event_time=None, receive_time=2, interval="1m", open_time=0, closed=True, open=1.0, high=1.0,
        low=1.0, close=1.0, volume=3.0, quote_volume=4.0, trades=None, taker_buy_volume=None, contracts=300.0,
    )  # fmt: skip
    assert in_base_units(beat, LINEAR) is beat
    assert in_base_units(candle, LINEAR) is candle
