"""The book against a naive one, and against the exchange's own best quotes."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marketpipeline.ingestion import book
from marketpipeline.ingestion.book import CrossedBook, LocalBook
from marketpipeline.records import Level, Quote
from marketpipeline.topics import EXCHANGE_FEEDS
from marketpipeline.venues.adapter import StreamOptions
from marketpipeline.venues.binance.adapter import ADAPTER
from marketpipeline.venues.messages import BookChange, BookSnapshot

bid_prices = st.integers(1, 40).map(lambda tick: tick / 4)
ask_prices = st.integers(41, 80).map(lambda tick: tick / 4)
quantities = st.one_of(st.just(0.0), st.integers(1, 9).map(float))
bid_levels = st.lists(st.tuples(bid_prices, quantities), max_size=12)
ask_levels = st.lists(st.tuples(ask_prices, quantities), max_size=12)


def naive(changes: list[list[Level]], *, reverse: bool) -> list[Level]:
    """What a side holds after all changes, by sorting everything."""
    levels = {price: quantity for change in changes for price, quantity in change}
    return sorted(((p, q) for p, q in levels.items() if q), reverse=reverse)


@pytest.fixture(params=[1, 4, book.WINDOW])
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The book's window is much smaller than what is put into it, and much larger."""
    monkeypatch.setattr(book, "WINDOW", request.param)


@pytest.mark.usefixtures("window")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bid_levels, ask_levels, st.lists(st.tuples(bid_levels, ask_levels), max_size=20), st.integers(1, 25))
def test_equals_a_naive_book(
    bids: list[Level], asks: list[Level], changes: list[tuple[list[Level], list[Level]]], count: int
) -> None:
    local = LocalBook()
    local.load(list(dict(bids).items()), list(dict(asks).items()), bids_whole=True, asks_whole=True)
    past_bids, past_asks = [list(dict(bids).items())], [list(dict(asks).items())]
    for bid_change, ask_change in changes:
        local.apply(bid_change, ask_change)
        past_bids.append(bid_change)
        past_asks.append(ask_change)
        expected_bids, expected_asks = naive(past_bids, reverse=True), naive(past_asks, reverse=False)
        assert local.bids.top(count) == expected_bids[:count]
        assert local.asks.top(count) == expected_asks[:count]
        assert (len(local.bids), len(local.asks)) == (len(expected_bids), len(expected_asks))
        assert local.bids.best() == (expected_bids[0][0] if expected_bids else None)
        assert local.asks.best() == (expected_asks[0][0] if expected_asks else None)


@given(bid_levels, bid_levels, st.integers(1, 10))
def test_known_means_that_no_unseen_level_could_be_among_the_best(
    told: list[Level], change: list[Level], count: int
) -> None:
    local = LocalBook()
    levels = naive([told], reverse=True)
    local.load(levels, [], bids_whole=False, asks_whole=True)
    local.apply(change, [])
    top = local.bids.top(count)
    edge = levels[-1][0] if levels else None
    assert local.bids.known(count) == (edge is None or (len(top) == count and top[-1][0] >= edge))


def test_asks_have_an_edge_too() -> None:
    local = LocalBook()
    local.load([], [(10.0, 1.0), (11.0, 1.0)], bids_whole=True, asks_whole=False)
    assert local.known(2)
    assert not local.known(3)
    local.apply([], [(10.0, 0.0), (12.0, 1.0)])
    assert local.known(1)
    assert not local.known(2)


@pytest.mark.parametrize("bid", [10.0, 10.5])
def test_a_crossed_book_is_an_error(bid: float) -> None:
    local = LocalBook()
    local.load([(9.0, 1.0)], [(10.0, 1.0)], bids_whole=True, asks_whole=True)
    with pytest.raises(CrossedBook, match=r"is not below best ask 10\.0"):
        local.apply([(bid, 1.0)], [])
    with pytest.raises(CrossedBook):
        LocalBook().load([(bid, 1.0)], [(10.0, 1.0)], bids_whole=True, asks_whole=True)


@pytest.mark.parametrize(("name", "equal"), [("BTCUSDT", 1072 // 2), ("ETHUSDT", 1056 // 2)])
def test_equals_the_best_quotes_of_a_capture(real_capture: Callable[[str], Path], name: str, equal: int) -> None:
    """Wherever the ids of a book event and a quote are equal, best prices and quantities are."""
    symbol = f"binance:{name}"
    mapper = ADAPTER.mapper(ADAPTER.streams([symbol], EXCHANGE_FEEDS, StreamOptions()))
    snapshot: BookSnapshot | None = None
    changes: list[BookChange] = []
    quotes: dict[int, Quote] = {}
    with gzip.open(real_capture(f"binance_{name.lower()}_20240808.gz")) as lines:
        for line in lines:
            payload = line.split(b" ", 1)[1].rstrip()
            if not payload.startswith(b'{"stream"'):
                snapshot = ADAPTER.snapshot(symbol).read(payload, 0)
                continue
            said = mapper.map(payload, 0)
            assert isinstance(said, tuple)
            (record,) = said[1]
            if isinstance(record, BookChange):
                changes.append(record)
            elif isinstance(record, Quote):
                quotes[record.update_id] = record
    assert snapshot is not None
    local = LocalBook()
    local.load(snapshot.bids, snapshot.asks, bids_whole=snapshot.bids_whole, asks_whole=snapshot.asks_whole)
    compared = 0
    for change in changes:
        if change.last_id <= snapshot.last_id:
            continue
        local.apply(change.bids, change.asks)
        quote = quotes.get(change.last_id)
        if quote is not None:
            compared += 1
            assert local.bids.top(1) == [(quote.bid_price, quote.bid_quantity)]
            assert local.asks.top(1) == [(quote.ask_price, quote.ask_quantity)]
    assert compared >= equal // 2, f"only {compared} moments could be compared"
