"""One simulated symbol."""

from __future__ import annotations

import pytest
from marketpipeline.simulator.simulation.book import BUY, SELL
from marketpipeline.simulator.simulation.instruments import instrument
from marketpipeline.simulator.simulation.market import SymbolMarket

from tests.services.simulator.simulation.watching import START


@pytest.mark.parametrize("sign", [BUY, SELL])
def test_a_side_that_was_swept_clean_is_quoted_again(sign: int) -> None:
    market = SymbolMarket(instrument("BTCUSDT"), 1, START)
    market.flow.trade(sign, 1e12)
    assert len(market.book.sides[-sign]) == 1
    assert market.snapshot().bids
    assert market.snapshot().asks
