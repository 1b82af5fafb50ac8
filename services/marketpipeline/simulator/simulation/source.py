"""The simulated market as a source of frames: all symbols in one order of time, with their scenarios."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.simulator.events import AggTrade, BookDiff, Event, Quote, Trade
from marketpipeline.simulator.frames import Frame
from marketpipeline.simulator.schedule import Planned, Schedule, build
from marketpipeline.simulator.simulation.instruments import day_volume, instrument
from marketpipeline.simulator.simulation.market import SymbolMarket
from marketpipeline.simulator.simulation.scenarios import SCENARIOS, TOUR_SECONDS, tour

__all__ = ["TOUR", "SimulatedMarket"]

TOUR = "tour"
"""The scenario that is all the others in turn, again and again."""
SLICE = 10_000
"""Microseconds that are simulated at once."""

_EXAMPLES = (
    Trade(1, "1", "1", 0, 0, False),
    AggTrade(1, "1", "1", 1, 1, 0, 0, False),
    Quote(1, "1", "1", "2", "1"),
    BookDiff(1, 1, 0, [], []),
)
"""One of each that it makes, to ask for the streams of."""

Encode = Callable[[int, str, Event], Frame]


class SimulatedMarket:
    """See `Source`. It has no end; its clock is exchange time. It makes trades, quotes and book changes."""

    streams: frozenset[str] = frozenset()

    def __init__(
        self, symbols: Sequence[str], seed: int, start: int, planned: Sequence[Planned], encode: Encode
    ) -> None:
        self.symbols = list(symbols)
        self.makes = frozenset(encode(0, name, event).stream for name in self.symbols for event in _EXAMPLES)
        self.volumes = {name: day_volume(name) for name in self.symbols}
        self._markets = {name: SymbolMarket(instrument(name), seed, start) for name in self.symbols}
        self._encode = encode
        self._start = self._now = start
        self._ready: deque[Frame] = deque()
        self._rounds = 0 if any(one.name == TOUR for one in planned) else None
        for one in planned:
            if one.name != TOUR:
                self._check(one.name, one.parameters)
        self._schedule = Schedule(one for one in planned if one.name != TOUR)
        self._tour = Schedule([])
        self._tour_began = 0.0
        self.first_event_time = self.last_event_time = start
        self.played: deque[dict[str, Any]] = deque(maxlen=100)
        self.answers: Mapping[str, Sequence[int]] = {}
        self.past: list[Frame] = []
        self.snapshots = [encode(start * 1000, name, market.snapshot()) for name, market in self._markets.items()]

    @property
    def elapsed(self) -> float:
        """Seconds of exchange time since the start."""
        return (self._now - self._start) / 1e6

    def next_due(self) -> int:
        """See `Source.next_due`."""
        return self._ready[0].due if self._ready else (self._now + SLICE) * 1000

    def next_event_time(self) -> int:
        """See `Source.next_event_time`."""
        return self.next_due() // 1000

    def take(self, until: int | None, limit: int) -> list[Frame]:
        """See `Source.take`."""
        ready = self._ready
        while len(ready) < limit and (until is None or self._now < until // 1000):
            if until is None:
                self._simulate(self._now + SLICE)
                continue
            self._simulate(min(self._now + SLICE, until // 1000))
        taken: list[Frame] = []
        while ready and len(taken) < limit and (until is None or ready[0].due <= until):
            taken.append(ready.popleft())
        if taken:
            self.last_event_time = max(self.last_event_time, taken[-1].due // 1000)
        return taken

    def play(self, name: str, parameters: Mapping[str, Any]) -> None:
        """Begin a scenario now. Raises InvalidInput for a name or parameter that is wrong."""
        if name == TOUR:
            self._rounds, self._tour, self._tour_began = 0, Schedule([]), self.elapsed
        else:
            scenario = self._check(name, parameters)
            self._markets[scenario.symbol].play(scenario)
        self.played.append({"scenario": name, "at_seconds": round(self.elapsed, 3), **parameters})

    def _check(self, name: str, parameters: Mapping[str, Any]) -> Any:
        scenario = build(SCENARIOS[name], parameters, name)
        scenario.symbol = scenario.symbol or self.symbols[0]
        if scenario.symbol not in self._markets:
            expected = f"must be one of {', '.join(self.symbols)}"
            raise InvalidInput(name, [Problem(f"{name}.symbol", scenario.symbol, expected)])
        return scenario

    def _simulate(self, until: int) -> None:
        self._begin_due()
        streams = (market.advance(until) for market in self._markets.values())
        named = [
            [(time, self._encode(time * 1000, name, event)) for time, event in events]
            for name, events in zip(self._markets, streams, strict=True)
        ]
        self._ready.extend(frame for _, frame in heapq.merge(*named, key=lambda pair: pair[0]))
        self._now = until

    def _begin_due(self) -> None:
        elapsed = self.elapsed
        if self._rounds is not None and self._tour.next_at is None and elapsed >= self._tour_began:
            planned = tour(self.symbols, self._rounds)
            self._tour = Schedule(Planned(p.name, p.parameters, p.at + self._tour_began) for p in planned)
            self._rounds += 1
            self._tour_began += TOUR_SECONDS
        for one in (*self._tour.due(elapsed), *self._schedule.due(elapsed)):
            self.play(one.name, one.parameters)
