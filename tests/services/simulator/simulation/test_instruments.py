"""Symbols of the simulated market: prices and quantities that any client can take."""

from __future__ import annotations

import pytest
from marketpipeline.simulator.simulation.instruments import instrument


@pytest.mark.parametrize(
    "symbol", ["BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT", "NKNUSDT", "AAAAA", "ZZZZZBTC", "1INCHUSDT"]
)
def test_every_symbol_has_a_market(symbol: str) -> None:
    known = instrument(symbol)
    assert known == instrument(symbol)
    assert known.start > 0
    ticks = round(known.start / float(known.tick))
    assert 10_000 < ticks < 100_000_000, "fine enough to quote, coarse enough to share levels"
    assert float(known.price(ticks)) == pytest.approx(known.start, rel=1e-4)
    lots = known.lots(1_000, ticks)
    assert float(known.quantity(lots)) * float(known.price(ticks)) == pytest.approx(1_000, rel=0.5)
