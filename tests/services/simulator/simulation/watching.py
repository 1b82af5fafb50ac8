"""The simulated market as a client sees it: its book followed from frames alone, and measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from marketpipeline.simulator.events import Trade
from marketpipeline.simulator.frames import Frame
from marketpipeline.simulator.market_state import MarketState
from marketpipeline.simulator.protocols import protocols
from marketpipeline.simulator.protocols.binance.wire import decode
from marketpipeline.simulator.schedule import Planned
from marketpipeline.simulator.simulation.source import SimulatedMarket

__all__ = ["CALM", "PROTOCOL", "START", "Seen", "client", "run", "source", "watch"]

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
