"""The simulated market as its clients see it: repeatable, consistent, and doing what its scenarios say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.simulator.events import AggTrade, BookDiff, Quote, Trade
from marketpipeline.simulator.frames import Frame, Kind
from marketpipeline.simulator.market_state import MarketState
from marketpipeline.simulator.protocols import protocols
from marketpipeline.simulator.protocols.binance.wire import decode
from marketpipeline.simulator.schedule import Planned
from marketpipeline.simulator.simulation.book import BUY, SELL
from marketpipeline.simulator.simulation.instruments import instrument
from marketpipeline.simulator.simulation.market import SymbolMarket
from marketpipeline.simulator.simulation.scenarios import SCENARIOS
from marketpipeline.simulator.simulation.source import TOUR, SimulatedMarket

PROTOCOL = protocols()["binance"]
START = 1_700_000_000_000_000
CALM = [Planned("calm", {}, 0.0)]


def source(planned: Iterable[Planned] = CALM, seed: int = 1, symbols: Iterable[str] = ("BTCUSDT",)) -> SimulatedMarket:
    return SimulatedMarket(list(symbols), seed, START, list(planned), PROTOCOL.encode)


def run(market: SimulatedMarket, seconds: float) -> list[Frame]:
    return market.take((START + int(seconds * 1e6)) * 1000, 1 << 40)


@dataclass
class Seen:
    """What a client measures: every 100 ms imbalance over 10 levels, spread in bps, mid."""

    imbalance: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    mid: list[float] = field(default_factory=list)
    notionals: list[float] = field(default_factory=list)


def client(market: SimulatedMarket) -> MarketState:
    known = MarketState(PROTOCOL.events, market.symbols, 1_000)
    for frame in market.snapshots:
        known.seed(frame)
    return known


def watch(
    market: SimulatedMarket, begin: float, end: float, known: MarketState | None = None, since: float = 0
) -> Seen:
    """Follow the book of the first symbol from frames alone, and measure it between two times."""
    known, symbol = known or client(market), "BTCUSDT"
    seen = Seen()
    for step in range(int(since * 10), int(end * 10)):
        for frame in run(market, (step + 1) / 10):
            known.note(frame)
            event = decode(frame)
            if isinstance(event, Trade) and frame.symbol == symbol and step >= begin * 10:
                seen.notionals.append(float(event.price) * float(event.quantity))
        top = known.depth(symbol, 10)
        bids, asks = sum(float(q) for _, q in top.bids), sum(float(q) for _, q in top.asks)
        bid, ask = float(top.bids[0][0]), float(top.asks[0][0])
        if step >= begin * 10:
            seen.imbalance.append((bids - asks) / (bids + asks))
            seen.spread.append((ask - bid) / (ask + bid) * 2e4)
            seen.mid.append((ask + bid) / 2)
    return seen


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


def test_a_calm_market_alarms_nobody() -> None:
    seen = watch(source(), 0, 60)
    assert max(map(abs, seen.imbalance)) < 0.5
    assert max(seen.notionals) < 100_000
    assert sum(seen.notionals) < 1_000_000
    assert max(seen.mid) / min(seen.mid) < 1.005
    assert len(set(seen.mid)) > 50


@pytest.mark.parametrize(("side", "sign"), [("buy", 1), ("sell", -1)])
def test_one_sided_book(side: str, sign: int) -> None:
    seen = watch(source([Planned("one-sided-book", {"side": side, "seconds": "8"}, 5.0)]), 5.5, 12.5)
    assert min(sign * r for r in seen.imbalance) > 0.7


def test_imbalance_flip() -> None:
    market = source([Planned("imbalance-flip", {"seconds": "8"}, 5.0)])
    seen = watch(market, 5.5, 13)
    assert max(seen.imbalance) > 0.7
    assert min(seen.imbalance) < -0.7
    assert seen.imbalance.index(max(seen.imbalance)) < seen.imbalance.index(min(seen.imbalance))


def test_spread_blow_out_and_back() -> None:
    market = source([Planned("spread-blow-out", {"distance": "20", "seconds": "5"}, 5.0)])
    seen = watch(market, 0, 20)
    normal, wide, after = seen.spread[:48], seen.spread[55:95], seen.spread[120:]
    assert min(wide) > 30
    assert max(normal) < 3
    assert max(after) < 5


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_whale(side: str) -> None:
    market = source([Planned("whale", {"side": side, "notional": "300000"}, 5.0)])
    trades = [decode(frame) for frame in run(market, 10) if frame.kind is Kind.TRADE]
    large = [t for t in trades if isinstance(t, Trade) and float(t.price) * float(t.quantity) > 100_000]
    assert [t.buyer_is_maker for t in large] == [side == "sell"]
    assert float(large[0].price) * float(large[0].quantity) == pytest.approx(300_000, rel=0.01)


@pytest.mark.parametrize("percent", [3.0, -3.0])
def test_price_spike(percent: float) -> None:
    market = source([Planned("price-spike", {"percent": str(percent)}, 5.0)])
    seen = watch(market, 4, 15)
    assert seen.mid[-1] / seen.mid[0] - 1 == pytest.approx(percent / 100, abs=0.005)
    assert seen.notionals, "it moves by trades"


@pytest.mark.parametrize("sign", [BUY, SELL])
def test_a_side_that_was_swept_clean_is_quoted_again(sign: int) -> None:
    market = SymbolMarket(instrument("BTCUSDT"), 1, START)
    market.flow.trade(sign, 1e12)
    assert len(market.book.sides[-sign]) == 1
    assert market.snapshot().bids
    assert market.snapshot().asks


def test_volume_burst() -> None:
    market = source([Planned("volume-burst", {"seconds": "10", "notional": "2000000"}, 5.0)])
    seen = watch(market, 5, 15)
    assert sum(seen.notionals) > 1_500_000
    assert max(seen.notionals) < 100_000, "it is no whale"
    assert max(seen.mid) / min(seen.mid) < 1.01


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


def test_a_quiet_market_changes_about_once_a_second_and_trades_rarely() -> None:
    market = source([Planned("quiet", {"trade_every": "10"}, 0.0)])
    run(market, 20)
    events = [decode(frame) for frame in run(market, 120)]
    assert 3 <= sum(isinstance(event, Trade) for event in events) <= 25
    assert 40 <= sum(isinstance(event, BookDiff) for event in events) <= 200
