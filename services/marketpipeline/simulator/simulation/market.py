"""One simulated symbol: its flow and scenarios as the events that an exchange reports."""

from __future__ import annotations

import random
from collections.abc import Iterator

from marketpipeline.simulator.events import AggTrade, BookDiff, BookSnapshot, Event, Levels, Quote, Trade
from marketpipeline.simulator.simulation.book import BUY, SELL, Fill, OrderBook
from marketpipeline.simulator.simulation.flow import Flow
from marketpipeline.simulator.simulation.instruments import Instrument
from marketpipeline.simulator.simulation.scenarios import STEP, Scenario

__all__ = ["SymbolMarket"]

DIFF_EVERY = 100_000
"""Microseconds between two reports of book changes."""
IDS_PER_SECOND = 1_000
"""The first id is the start time in these units, so a market that is started later continues after all ids that an
earlier one can have used, as a real exchange does, and no reader takes its trades for repetitions."""


class SymbolMarket:
    """Runs in its own time, microseconds of the exchange; the same seed gives the same events."""

    def __init__(self, instrument: Instrument, seed: int, start: int) -> None:
        self.instrument = instrument
        first_id = start * IDS_PER_SECOND // 1_000_000
        self.book = OrderBook(first_id)
        self.flow = Flow(instrument, self.book, random.Random(f"{seed}:{instrument.symbol}"), self._traded)
        self.now = start
        self.scenario: Scenario | None = None
        self._began = start
        self._trade_id = first_id
        self._agg_trade_id = first_id
        self._events: list[Event] = []
        self._quote: tuple[int, int, int, int] | None = None
        self._reported = self.book.update_id
        self._next_act = start + self._pause()
        self._next_diff = start - start % DIFF_EVERY + DIFF_EVERY
        self._next_step = 0
        for touched in self.book.touched.values():
            touched.clear()

    def snapshot(self) -> BookSnapshot:
        """The whole book as of now."""
        sides = []
        for sign in (BUY, SELL):
            side = self.book.sides[sign]
            sides.append([self._level(tick, side.totals[tick]) for tick in side.ticks(len(side))])
        return BookSnapshot(self.book.update_id, *sides)

    def play(self, scenario: Scenario) -> None:
        """Begin a scenario now; one that is going on ends."""
        if self.scenario is not None:
            self.scenario.end(self.flow)
        self.scenario = scenario
        self._began, self._next_step = self.now, self.now + int(STEP * 1e6)
        scenario.begin(self.flow)
        self._quoted()

    def advance(self, until: int) -> Iterator[tuple[int, Event]]:
        """All events up to `until`, each with its time."""
        yield from self._flush()
        while (moment := min(self._next_act, self._next_diff, self._next_step or until + 1)) <= until:
            self.now = moment
            if moment == self._next_diff:
                self._next_diff += DIFF_EVERY
                self._report_diff()
            elif moment == self._next_act:
                self.flow.act()
                self._next_act += self._pause()
                self._quoted()
            else:
                self._step()
            yield from self._flush()
        self.now = until

    def _pause(self) -> int:
        return max(1, int(self.flow.wait() * 1e6))

    def _flush(self) -> Iterator[tuple[int, Event]]:
        for event in self._events:
            yield self.now, event
        self._events.clear()

    def _step(self) -> None:
        scenario = self.scenario
        if scenario is None:
            self._next_step = 0
            return
        elapsed = (self.now - self._began) / 1e6
        scenario.step(self.flow, elapsed)
        if elapsed >= scenario.seconds:
            scenario.end(self.flow)
            self.scenario, self._next_step = None, 0
        else:
            self._next_step += int(STEP * 1e6)
        self._quoted()

    def _traded(self, sign: int, fills: list[Fill]) -> None:
        buyer_is_maker = sign == SELL
        groups: list[list[int]] = []
        for fill in fills:
            self._trade_id += 1
            price, quantity = self.instrument.price(fill.tick), self.instrument.quantity(fill.lots)
            self._events.append(Trade(self._trade_id, price, quantity, self.now, self.now, buyer_is_maker))
            if groups and groups[-1][0] == fill.tick:
                groups[-1][1] += fill.lots
                groups[-1][3] = self._trade_id
            else:
                groups.append([fill.tick, fill.lots, self._trade_id, self._trade_id])
        for tick, lots, first, last in groups:
            self._agg_trade_id += 1
            price, quantity = self.instrument.price(tick), self.instrument.quantity(lots)
            self._events.append(
                AggTrade(self._agg_trade_id, price, quantity, first, last, self.now, self.now, buyer_is_maker)
            )

    def _quoted(self) -> None:
        bids, asks = self.book.sides[BUY], self.book.sides[SELL]
        bid, ask = bids.best, asks.best
        if bid is None or ask is None:
            return
        quote = (bid, bids.totals[bid], ask, asks.totals[ask])
        if quote != self._quote:
            self._quote = quote
            self._events.append(Quote(self.book.update_id, *self._level(*quote[:2]), *self._level(*quote[2:])))

    def _report_diff(self) -> None:
        if self.book.update_id == self._reported:
            return
        first, self._reported = self._reported + 1, self.book.update_id
        self._events.append(BookDiff(first, self._reported, self.now, self._changes(BUY), self._changes(SELL)))

    def _changes(self, sign: int) -> Levels:
        touched, totals = self.book.touched[sign], self.book.sides[sign].totals
        changes = [self._level(tick, totals.get(tick, 0)) for tick in sorted(touched, reverse=sign == BUY)]
        touched.clear()
        return changes

    def _level(self, tick: int, lots: int) -> tuple[str, str]:
        return self.instrument.price(tick), self.instrument.quantity(lots)
