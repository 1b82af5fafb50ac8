"""A capture of the simulated market, written as fast as it is computed instead of as time passes.

The same seed, start, scenarios and faults give the same lines on every machine: nothing here reads a clock. What a
recorder would see is written: the streams of the pipeline's feeds, and the REST snapshot of each book, once at its
first change and again where a fault has left a hole in the update ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from marketpipeline.simulator.derived import Derived
from marketpipeline.simulator.events import BookDiff, Event
from marketpipeline.simulator.faults import FAULTS, FaultContext, Faults
from marketpipeline.simulator.frames import Frame, Kind
from marketpipeline.simulator.market_state import MarketState
from marketpipeline.simulator.protocols import WireProtocol
from marketpipeline.simulator.recording.recorder import Target
from marketpipeline.simulator.recording.writer import CaptureWriter
from marketpipeline.simulator.schedule import parse
from marketpipeline.simulator.simulation.scenarios import SCENARIOS
from marketpipeline.simulator.simulation.source import TOUR, SimulatedMarket
from marketpipeline.venues import split_symbol
from marketpipeline.venues.adapter import ExchangeAdapter

__all__ = ["Simulation", "write_simulation"]

HISTORY = 200_000
"""Trades of a symbol that candles and statistics may be computed from."""
SNAPSHOT_LEVELS = 1_000


@dataclass(frozen=True, slots=True)
class Simulation:
    """What is simulated: `start` in microseconds since the epoch; scenarios and faults as in `schedule.parse`."""

    seed: int
    start: int
    seconds: float
    scenarios: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class _NoServer:
    """A capture holds messages only, so a fault of connections or of REST leaves nothing in it."""

    def break_connections(self, refuse_seconds: float) -> None:
        """See `ServerControls`."""

    def slow_down(self, delay: float, seconds: float) -> None:
        """See `ServerControls`."""

    def limit(self, seconds: float, *, ban: bool) -> None:
        """See `ServerControls`."""

    def shut_down(self, after: float) -> None:
        """See `ServerControls`."""

    def delist(self, symbol: str, seconds: float) -> None:
        """See `ServerControls`."""

    def forget(self, stream: str) -> None:
        """See `ServerControls`."""

    def move(self, stream: str, to: str) -> None:
        """See `ServerControls`."""

    def scale_volume(self, symbol: str, factor: float) -> None:
        """See `ServerControls`."""

    def spoil_trade(self, symbol: str) -> None:
        """See `ServerControls`."""


def write_simulation(
    simulation: Simulation, adapter: ExchangeAdapter, protocol: WireProtocol, target: Target, writer: CaptureWriter
) -> int:
    """Write the whole capture; returns the number of frames. Raises InvalidInput for a scenario or fault."""
    symbols = {split_symbol(symbol)[1]: symbol for symbol in target.symbols}
    streams = [stream.name for stream in target.streams]
    planned = [parse(text, "scenario", [*SCENARIOS, TOUR]) for text in simulation.scenarios or (TOUR,)]
    source = SimulatedMarket(list(symbols), simulation.seed, simulation.start, planned, protocol.encode)
    market = MarketState(protocol.events, source.symbols, HISTORY)
    for snapshot in source.snapshots:
        market.seed(snapshot)
    derived = Derived(market, protocol.encoders)
    followed = [name for name in streams if name not in source.makes]
    derived.choose([(name, d) for name in followed if (d := protocol.derive(name)) is not None], simulation.start)
    last_ids: dict[str, int] = {}
    count = 0
    for frame, sent in _frames(simulation, source, derived, protocol):
        for one in sent:
            if one.stream not in streams:
                continue
            if one.kind is Kind.DIFF and _follows_a_hole(protocol.events(one), one.symbol, last_ids):
                opening = protocol.opening(one.stream, market, one.due // 1000)
                for pushed in opening:
                    writer.add_frame(one.due, pushed.message)
                book = protocol.encode(one.due, one.symbol, market.depth(one.symbol, SNAPSHOT_LEVELS))
                request = adapter.snapshot(symbols[one.symbol])
                if request is not None and not opening:
                    writer.add_answer(one.due, target.address(request), book.payload)
            writer.add_frame(one.due, one.message)
            count += 1
        market.note(frame)
        derived.after(frame)
    return count


def _frames(
    simulation: Simulation, source: SimulatedMarket, derived: Derived, protocol: WireProtocol
) -> Iterator[tuple[Frame, list[Frame]]]:
    """Each frame of the market with what is sent in its place, before the market state has taken it in."""
    elapsed = 0.0
    planned = [parse(text, "fault", FAULTS) for text in simulation.faults]
    faults = Faults(planned, FaultContext(_NoServer(), source.symbols, protocol, lambda: elapsed))
    while (due := source.next_due() / 1000 - simulation.start) <= simulation.seconds * 1e6:
        (frame,) = source.take(None, 1)
        elapsed = due / 1e6
        faults.progress(elapsed)
        frames = [*derived.before(frame), frame]
        yield frame, faults.filter(frames) if faults.acting else frames


def _follows_a_hole(changes: Sequence[Event], symbol: str, last_ids: dict[str, int]) -> bool:
    """Whether the updates before these changes were not seen; the last of them is the newest from now on."""
    diffs = [change for change in changes if isinstance(change, BookDiff)]
    last = last_ids.get(symbol, -2)
    last_ids[symbol] = max(last, diffs[-1].last_id)
    return diffs[0].first_id > last + 1
