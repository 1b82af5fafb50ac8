"""The pump: takes frames from the source when they are due and sends them to their readers.

At a given speed the exchange goes on whether or not anybody reads, as a real one does, and waits only for a reader
whose socket is full. At full speed it waits until there is a reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable

from marketpipeline.simulator.clock import ExchangeClock, Pacer
from marketpipeline.simulator.connections import Hub
from marketpipeline.simulator.derived import Derivation, Derived
from marketpipeline.simulator.faults import Faults
from marketpipeline.simulator.frames import Frame, Kind
from marketpipeline.simulator.market_state import MarketState
from marketpipeline.simulator.sources import Source

__all__ = ["FrameFilters", "Timeline"]

CHUNK = 256
"""Frames handed out between two looks at the sockets."""
ANSWERED_WITHIN = 30_000_000_000
"""Nanoseconds of the source's time within which REST told a book that has a hole: who asks for it waits for that."""
READS_WITHIN = 60.0
"""Seconds that a replay at full speed waits until who needs a snapshot has read so far: a busy machine is slow."""
TRIPS_TO_ASK = 10
"""Times as long as that took it waits at least, and `settle` at least, until it is asked for the snapshot."""
MAX_LAG = 1.0
"""Seconds that the pump may lag; more (a stopped process, a slow machine) is skipped, not caught up in a burst."""


class FrameFilters:
    """What happens to frames between the source and their readers, and as time goes on.

    `derive` tells what a stream that the source does not hold would carry.
    """

    def __init__(self, derived: Derived, derive: Callable[[str], Derivation | None], faults: Faults) -> None:
        self.derived = derived
        self.derive = derive
        self.faults = faults


class Timeline:
    """Runs one source to its end.

    `speed` None is as fast as the readers take it. With `wait` it begins only when there are readers: when
    every stream of the source has one, or when for `settle` seconds no subscription was added. At full speed
    the first book change for a new reader waits for that reader to ask for the snapshot, and so do the changes after
    a hole that the capture itself has. Where the capture has what REST told a reader that had come upon such a
    hole, who asks gets this answer, in its place among the changes.
    """

    def __init__(
        self, source: Source, hub: Hub, market: MarketState, speed: float | None, settle: float, wait: bool
    ) -> None:
        self.source = source
        self.hub = hub
        self.market = market
        self.speed = speed
        self.settle = settle
        self.wait = wait or speed is None
        self.pacer = Pacer(speed or 1.0)
        self.first_due = self.position = source.next_due() or 0
        self.clock = ExchangeClock(source.next_event_time() or source.first_event_time or self.first_due // 1000)
        self.filters: FrameFilters | None = None
        self.started = False
        self.finished = False
        self.dispatched = 0
        self._version = -1
        self.asked: Counter[str] = Counter()
        """By symbol how many wait for the book that REST told next."""
        self._told = asyncio.Event()
        self._dues = deque(sorted(due for dues in source.answers.values() for due in dues))
        for frame in source.snapshots:
            market.seed(frame)
        for frame in source.past:
            market.remember(frame)

    @property
    def elapsed(self) -> float:
        """Seconds of the source's time since its start."""
        return (self.position - self.first_due) / 1e9

    def change_speed(self, speed: float | None) -> None:
        """Go on from here so many times as fast; None is as fast as the readers take it."""
        self.speed = speed
        self.pacer = Pacer(speed or 1.0)
        self.pacer.start(self.position)

    async def run(self) -> None:
        """Send everything; returns at the end of the source."""
        if self.wait:
            await self._wait_for_readers()
        self.started = True
        self.pacer.start(self.source.next_due() or 0)
        while (due := self.source.next_due()) is not None:
            if self.speed is None:
                await self._step_at_full_speed()
            else:
                await self._step(due)
        await self.hub.flush()
        self.clock.end()
        self.finished = True

    async def _step(self, due: int) -> None:
        now = self.pacer.now()
        if due > now:
            self._idle(now)
            await asyncio.sleep(min(self.pacer.seconds_until(due), 0.05))
            return
        lag = -self.pacer.seconds_until(due)
        if lag > MAX_LAG:
            self.pacer.skip(lag - MAX_LAG)
            now = self.pacer.now()
        frames = self._take(now)
        start = 0
        for index, frame in enumerate(frames) if any(self.asked.values()) else ():
            if self.asked[frame.symbol] and frame.kind is Kind.SNAPSHOT and not frame.stream:
                self._send(frames[start : index + 1])
                start = index + 1
                await self._answer_waiting(frame.symbol)
        self._send(frames[start:] if start else frames)
        self.market.told.clear()
        waited = time.monotonic()
        await self.hub.drain()
        waited = time.monotonic() - waited
        if waited > 0.01:
            self.pacer.skip(waited)
        await asyncio.sleep(0)

    async def _step_at_full_speed(self) -> None:
        if not self.hub.routes:
            await self._wait_for_readers()
        frames = self._take(None)
        start = 0
        for index, frame in enumerate(frames) if self.hub.unsynced or self._tells(frames) else ():
            if frame.kind is Kind.SNAPSHOT or (self.hub.unsynced and self.hub.awaits_snapshot(frame)):
                self._send(frames[start : index + 1])
                start = index + 1
                await self._after_snapshot(frame)
        self._send(frames[start:] if start else frames)
        await self.hub.drain()
        await asyncio.sleep(0)

    async def _after_snapshot(self, frame: Frame) -> None:
        """A change was sent whose reader needs a snapshot now; or one was told, whose reader asks at the next change,
        or has asked already, where it had seen the hole before."""
        market, symbol = self.market, frame.symbol
        if frame.kind is not Kind.SNAPSHOT:
            await self._wait_for_snapshot(symbol)
        self.hub.lost_changes(market.reseeded | market.told.keys())
        market.reseeded.clear()
        if symbol in market.told:
            self._wake()
            if symbol in self.hub.unsynced:
                await self._wait_for_snapshot(symbol)
            market.told.clear()

    async def _answer_waiting(self, symbol: str) -> None:
        """Let those who wait for what was told have it, before what came after it."""
        self._wake()
        deadline = time.monotonic() + self.settle
        while self.asked[symbol] and (left := deadline - time.monotonic()) > 0:
            self.hub.changed.clear()
            await _wait(self.hub.changed, left)

    def _is_told(self, symbol: str, until: int) -> bool:
        """Whether REST is about to tell a book."""
        dues = self.source.answers.get(symbol, ())
        place = bisect_right(dues, self.position)
        return place < len(dues) and dues[place] <= until

    def _tells(self, frames: list[Frame]) -> bool:
        """Whether a book that REST told is among these."""
        while self._dues and frames and self._dues[0] < frames[0].due:
            self._dues.popleft()
        return bool(self._dues and frames and self._dues[0] <= frames[-1].due)

    def _wake(self) -> None:
        told, self._told = self._told, asyncio.Event()
        told.set()

    async def until_told(self, symbol: str) -> None:
        """Return at once, or where the book has a hole, and REST told it soon after, when that was told."""
        until = self.position + ANSWERED_WITHIN
        self.asked[symbol] += 1
        try:
            while self.market.has_hole(symbol) and self._is_told(symbol, until):
                await self._told.wait()
        finally:
            self.asked[symbol] -= 1

    def _take(self, until: int | None) -> list[Frame]:
        """The next frames; what is planned happens before the first frame that is due at its time or later."""
        faults = None if self.filters is None else self.filters.faults
        while faults is not None and (at := faults.next_at) is not None:
            due = self.first_due + int(at * 1e9)
            if (self.source.next_due() or due) < due:
                until = due - 1 if until is None else min(until, due - 1)
                break
            faults.progress(at)
        return self.source.take(until, CHUNK)

    def _send(self, frames: list[Frame]) -> None:
        filters = self.filters
        if filters is not None:
            self._choose(filters)
        if filters is not None and filters.derived.active:
            frames = self._note_and_derive(frames, filters.derived)
        else:
            note, sent = self.market.note, self.clock.sent
            for frame in frames:
                note(frame)
                if frame.event_time:
                    sent(frame.event_time, frame.due)
        self.dispatched += len(frames)
        if frames:
            self.position = max(self.position, frames[-1].due)
        if filters is not None and filters.faults.acting:
            frames = filters.faults.filter(frames)
        self.hub.dispatch(frames)
        self.hub.write()

    def _note_and_derive(self, frames: list[Frame], derived: Derived) -> list[Frame]:
        everything: list[Frame] = []
        for frame in frames:
            everything.extend(derived.before(frame))
            self.market.note(frame)
            everything.append(frame)
            everything.extend(derived.after(frame))
            if frame.event_time:
                self.clock.sent(frame.event_time, frame.due)
        return everything

    def _idle(self, now: int) -> None:
        """Nothing is due at `now`, but time goes on: for the clock, for derived streams, for what is planned."""
        self.position = max(self.position, now)
        self.clock.passed(now, self.source.next_event_time())
        if self.filters is not None:
            self._choose(self.filters)
            made = self.filters.derived.passed(self.clock.now, now)
            self.filters.faults.progress(self.elapsed)
            self.hub.dispatch(self.filters.faults.filter(made) if self.filters.faults.acting else made)
        self.hub.write()

    def _choose(self, filters: FrameFilters) -> None:
        """Tell the derived streams which of them have readers, when that has changed."""
        if self._version == self.hub.version:
            return
        self._version = self.hub.version
        known, held = set(self.source.symbols), self.source.makes
        wanted = ((stream, filters.derive(stream)) for stream in self.hub.routes if stream not in held)
        filters.derived.choose(((s, d) for s, d in wanted if d is not None and d.symbol in known), self.clock.now)

    async def _wait_for_readers(self) -> None:
        hub = self.hub
        while True:
            hub.changed.clear()
            if not hub.routes:
                await _wait(hub.changed, None)
                continue
            if self.source.streams and self.source.streams <= hub.routes.keys():
                return
            left = hub.last_subscription + self.settle - time.monotonic()
            if left <= 0:
                return
            await _wait(hub.changed, left)

    async def _wait_for_snapshot(self, symbol: str) -> None:
        """Wait until the readers of this book have read what was sent, as their pongs tell, and have asked.

        One that does not tell it, as no client of an exchange does, is waited for once.
        """
        hub = self.hub
        await hub.drain()
        hub.mark(symbol)
        began = time.monotonic()
        deadline, asking = began + READS_WITHIN, False
        while symbol in hub.unsynced and hub.has_readers(symbol) and (left := deadline - (now := time.monotonic())) > 0:
            hub.changed.clear()
            if not asking and hub.has_read(symbol):
                asking, left = True, max(self.settle, min(READS_WITHIN, TRIPS_TO_ASK * (now - began)))
                deadline = now + left
            await _wait(hub.changed, left)
        if not asking:
            hub.gives_up_on(symbol)
        self.hub.unsynced.discard(symbol)


async def _wait(event: asyncio.Event, timeout: float | None) -> None:
    """Wait for the event or the time. `wait_for` of Python 3.11 would lose a cancellation that comes with the event."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await event.wait()
