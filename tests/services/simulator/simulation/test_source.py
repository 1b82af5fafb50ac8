"""The simulated market as its clients see it: repeatable, consistent, and doing what its scenarios say."""

from __future__ import annotations

from itertools import pairwise

import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.simulator.events import AggTrade, BookDiff, Quote, Trade
from marketpipeline.simulator.frames import Kind
from marketpipeline.simulator.market_state import MarketState
from marketpipeline.simulator.protocols.binance.wire import decode
from marketpipeline.simulator.schedule import Planned
from marketpipeline.simulator.simulation.scenarios import SCENARIOS
from marketpipeline.simulator.simulation.source import TOUR

from tests.services.simulator.simulation.watching import PROTOCOL, client, run, source, watch


def test_the_same_seed_is_the_same_market_however_it_is_read() -> None:
    planned = [Planned(TOUR, {}, 0.0)]
    whole = [frame.message for frame in run(source(planned), 20)]
    pieces = source(planned)
    step, again = 0.0, []
    while step < 20:
        step += 0.25
        again += [frame.message for frame in run(pieces, step)]
    assert again == whole
    assert [frame.message for frame in run(source(planned, seed=2), 20)] != whole
    few = source(planned)
    fast: list[bytes] = []
    while len(fast) < len(whole):
        fast += [frame.message for frame in few.take(None, 50)]
    assert fast[: len(whole)] == whole


def test_ids_times_and_the_order_of_frames() -> None:
    market = source(symbols=("BTCUSDT", "ETHUSDT"))
    frames = run(market, 30)
    assert [frame.due for frame in frames] == sorted(frame.due for frame in frames)
    for symbol in market.symbols:
        events = [decode(frame) for frame in frames if frame.symbol == symbol]
        trades = [event for event in events if isinstance(event, Trade)]
        diffs = [event for event in events if isinstance(event, BookDiff)]
        groups = [event for event in events if isinstance(event, AggTrade)]
        ids = [trade.trade_id for trade in trades]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert all(after.first_id == before.last_id + 1 for before, after in pairwise(diffs))
        assert all(diff.event_time % 100_000 == 0 for diff in diffs)
        assert [n for group in groups for n in range(group.first_trade_id, group.last_trade_id + 1)] == ids
        assert sum(float(g.quantity) for g in groups) == pytest.approx(sum(float(t.quantity) for t in trades))
        assert {trade.buyer_is_maker for trade in trades} == {True, False}
        assert len(trades) > 60
        assert len(diffs) > 250


def test_the_book_from_snapshot_and_changes_is_the_one_that_is_quoted() -> None:
    market = source([Planned(TOUR, {}, 0.0)])
    known = MarketState(PROTOCOL.events, market.symbols, 1_000)
    known.seed(market.snapshots[0])
    quotes: dict[int, Quote] = {}
    compared = 0
    for frame in run(market, 60):
        event = decode(frame)
        if isinstance(event, Quote):
            quotes[event.update_id] = event
        if frame.kind is not Kind.QUOTE:
            known.note(frame)
        if isinstance(event, BookDiff) and (quote := quotes.get(event.last_id)):
            top = known.depth("BTCUSDT", 1)
            assert (*top.bids[0], *top.asks[0]) == quote[1:]
            compared += 1
    assert compared > 50


def test_the_tour_shows_everything_within_a_minute() -> None:
    market = source([Planned(TOUR, {}, 0.0)], symbols=("BTCUSDT", "ETHUSDT"))
    run(market, 60)
    assert {entry["scenario"] for entry in market.played} == set(SCENARIOS) - {"calm", "quiet"}
    run(market, 130)
    assert len(market.played) > 9, "and goes on with the next round"


def test_scenarios_at_once() -> None:
    market = source()
    known = client(market)
    assert max(map(abs, watch(market, 0, 5, known).imbalance)) < 0.5
    market.play("one-sided-book", {"symbol": "BTCUSDT"})
    assert min(watch(market, 5.2, 8, known, since=5).imbalance) > 0.7
    market.play("calm", {})
    assert max(map(abs, watch(market, 30, 40, known, since=8).imbalance)) < 0.5


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("whale", {"symbol": "XRPUSDT"}, "must be one of BTCUSDT"),
        ("whale", {"size": "3"}, "known: notional, seconds, side, symbol"),
        ("price-spike", {"percent": "-80"}, "must be `float` >= -50"),
    ],
)
def test_scenarios_that_cannot_be(name: str, parameters: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        source([Planned(name, parameters, 3.0)])
    assert said in str(caught.value)
