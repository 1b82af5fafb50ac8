"""REST answers, read by the adapter of the exchange where it asks for them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from marketpipeline.simulator.events import BookSnapshot, Trade
from marketpipeline.simulator.market_state import MarketState
from marketpipeline.simulator.protocols.okx import PROTOCOL
from marketpipeline.venues.adapter import RestRequest, Throttled, UnknownSymbol
from marketpipeline.venues.instruments import Contract, Instrument
from marketpipeline.venues.okx.adapter import ADAPTER

TIME = 1_652_459_225_393_000
NAMES = ["BTC-USDT", "BTC-USDT-SWAP", "BTC-USD-261225", "ETH-USDT"]
SPOT = "okx:BTC-USDT"


def market() -> MarketState:
    made = MarketState(PROTOCOL.events, NAMES, 1000)
    made.seed(PROTOCOL.encode(0, "BTC-USDT", BookSnapshot(5, [("99.0", "1.0")], [("101.0", "2.0")])))
    for number in range(10, 30):
        made.note(PROTOCOL.encode(0, "BTC-USDT", Trade(number, "100.0", "1.0", TIME, TIME, False)))
    return made


def answer(request: RestRequest[Any], state: MarketState | None = None) -> Any:
    found = PROTOCOL.answer(request.path, dict(request.params), {}, state or market(), TIME)
    ADAPTER.judge(found.status, {}, found.body)
    return request.read(found.body, 0)


def test_the_adapter_reads_what_it_asks_for() -> None:
    assert answer(ADAPTER.server_time()) == TIME
    book = answer(ADAPTER.snapshot(SPOT))
    assert (book.last_id, book.bids, book.asks) == (5, [(99.0, 1.0)], [(101.0, 2.0)])
    every: dict[str, Instrument] = {}
    for request in ADAPTER.instruments(None):
        every |= answer(request)
    assert every == {
        "okx:BTC-USDT": Instrument(market="USDT"),
        "okx:ETH-USDT": Instrument(market="USDT"),
        "okx:BTC-USDT-SWAP": Instrument(Contract(0.01), "USDT-SWAP"),
        "okx:BTC-USD-261225": Instrument(Contract(100.0, inverse=True), "USD-FUTURES"),
    }


@pytest.mark.parametrize(
    ("first", "limit", "wanted"),
    [
        (12, 5, range(12, 17)),
        (27, 5, range(27, 30)),
        (30, 5, range(0)),
        (None, 3, range(27, 30)),
        (1, 5, range(0)),
        (8, 5, range(10, 13)),
    ],
)
def test_pages_of_past_trades(first: int | None, limit: int, wanted: range) -> None:
    page = answer(ADAPTER.trades(SPOT, first, limit))
    assert [trade.trade_id for trade in page.records] == list(wanted)


def test_a_symbol_off_the_list_and_too_many_requests() -> None:
    state = market()
    state.delist("BTC-USDT", 60)
    for request in (ADAPTER.snapshot(SPOT), ADAPTER.trades(SPOT, 1, 2), *ADAPTER.instruments([SPOT])):
        with pytest.raises(UnknownSymbol):
            answer(request, state)
    limited = PROTOCOL.limited(False, 5, TIME)
    with pytest.raises(Throttled):
        ADAPTER.judge(limited.status, {}, limited.body)


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/api/v5/market/books", {}, "50014"),
        ("/api/v5/market/books", {"instId": "BTC-USDT", "sz": "x"}, "51000"),
        ("/api/v5/market/history-trades", {"instId": "BTC-USDT", "after": "x"}, "51000"),
        ("/api/v5/public/instruments", {}, "50014"),
        ("/api/v5/public/instruments", {"instType": "X"}, "51000"),
        ("/api/v3/time", {}, "404"),
    ],
)
def test_errors(path: str, query: dict[str, str], code: str) -> None:
    found = PROTOCOL.answer(path, query, {}, market(), TIME)
    assert msgspec.json.decode(found.body)["code"] == code


def test_what_requests_cost_is_what_the_adapter_counts() -> None:
    for request in (ADAPTER.server_time(), ADAPTER.snapshot(SPOT), ADAPTER.trades(SPOT, 1, 2)):
        assert PROTOCOL.weight(request.path, dict(request.params)) == request.weight
