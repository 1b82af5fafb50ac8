"""Every scenario does what it is named for, and nothing else."""

from __future__ import annotations

import pytest
from marketpipeline.simulator.events import BookDiff, Trade
from marketpipeline.simulator.frames import Kind
from marketpipeline.simulator.protocols.binance.wire import decode
from marketpipeline.simulator.schedule import Planned
from marketpipeline.simulator.simulation.source import SimulatedMarket

from tests.services.simulator.simulation.watching import client, run, source, watch


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


def test_volume_burst() -> None:
    market = source([Planned("volume-burst", {"seconds": "10", "notional": "2000000"}, 5.0)])
    seen = watch(market, 5, 15)
    assert sum(seen.notionals) > 1_500_000
    assert max(seen.notionals) < 100_000, "it is no whale"
    assert max(seen.mid) / min(seen.mid) < 1.01


def test_a_quiet_market_changes_about_once_a_second_and_trades_rarely() -> None:
    market = source([Planned("quiet", {"trade_every": "10"}, 0.0)])
    run(market, 20)
    events = [decode(frame) for frame in run(market, 120)]
    assert 3 <= sum(isinstance(event, Trade) for event in events) <= 25
    assert 40 <= sum(isinstance(event, BookDiff) for event in events) <= 200


def depth(market: SimulatedMarket, until: float) -> list[float]:
    """The value within 10 bps of the mid on the thinner side, every 100 ms."""
    known, found = client(market), []
    for step in range(int(until * 10)):
        for frame in run(market, (step + 1) / 10):
            known.note(frame)
        book = known.depth("BTCUSDT", 1000)
        mid = (float(book.bids[0][0]) + float(book.asks[0][0])) / 2
        sides = ([(float(p), float(q)) for p, q in side] for side in (book.bids, book.asks))
        found.append(min(sum(p * q for p, q in side if abs(p - mid) <= mid / 1000) for side in sides))
    return found


def test_liquidity_drains_and_comes_back() -> None:
    seen = depth(source([Planned("liquidity-drain", {"seconds": "5"}, 10.0)]), 30)
    normal = sorted(seen[:95])[47]
    assert max(seen[105:145]) < 0.15 * normal
    assert max(seen[250:]) > 0.5 * normal


def test_trade_burst() -> None:
    seen = watch(source([Planned("trade-burst", {"seconds": "10", "rate": "100"}, 5.0)]), 5, 15)
    assert len(seen.notionals) > 1_000
    assert sorted(seen.notionals)[len(seen.notionals) // 2] < 100, "they are small"
    assert max(seen.mid) / min(seen.mid) < 1.005


@pytest.mark.parametrize(("side", "sign"), [("buy", 1), ("sell", -1)])
def test_a_fat_finger_is_far_off_and_the_market_comes_back(side: str, sign: int) -> None:
    market = source([Planned("fat-finger", {"side": side}, 5.0)])
    prices = [float(t.price) for f in run(market, 15) if f.kind is Kind.TRADE if isinstance(t := decode(f), Trade)]
    usual = sorted(prices)[len(prices) // 2]
    far = max(sign * (price / usual - 1) for price in prices)
    assert 0.0085 < far < 0.0095
    assert abs(prices[-1] / usual - 1) < 0.002
