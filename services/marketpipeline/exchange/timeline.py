"""The pump: takes frames from the source when they are due and hands them to their readers.

At a speed the exchange goes on whether somebody reads or not, as a real one does, and waits only for a reader
whose socket is full. At full speed it waits for a reader to be there at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from marketpipeline.exchange.clock import ExchangeClock, Pacer
from marketpipeline.exchange.connections import Hub
from marketpipeline.exchange.frames import Frame
from marketpipeline.exchange.market import Market
from marketpipeline.exchange.sources import Source

__all__ = ["Timeline"]

CHUNK = 256
"""Frames handed out between two looks at the sockets."""

Filter = Callable[[list[Frame]], list[Frame]]


class Timeline:
    """Runs one source to its end.

    `speed` None is as fast as the readers take it. `settle` (seconds) is how long no new subscription may come
    before the start, unless every stream of the source has its reader; and, at full speed, how long the first
    book change of a new reader waits for that reader to ask for the snapshot.
    """

    def __init__(self, source: Source, hub: Hub, market: Market, speed: float | None, settle: float) -> None:
        self.source = source
        self.hub = hub
        self.market = market
        self.speed = speed
        self.settle = settle
        self.pacer = Pacer(speed or 1.0)
        first = source.next_due() or 0
        self.first_due = first
        self.position = first
        self.clock = ExchangeClock(source.next_event_time() or first // 1000)
        self.started = False
        self.finished = False
        self.dispatched = 0
        self.filter: Filter | None = None
        """Faults change what is sent here; the market notes what should have been."""
        self.on_progress: Callable[[int], None] | None = None
        """Told the source's time whenever it goes on, so that what is scheduled can happen."""
        for frame in source.snapshots:
            market.seed(frame)

    @property
    def elapsed(self) -> float:
        """Seconds of the source's time since its start."""
        return (self.position - self.first_due) / 1e9

    async def run(self) -> None:
        """Send everything; returns at the end of the source."""
        await self._wait_for_readers()
        self.started = True
        self.pacer.start(self.source.next_due() or 0)
        while (due := self.source.next_due()) is not None:
            if self.speed is None:
                await self._step_at_full_speed()
            else:
                await self._step(due)
        self.clock.end()
        self.finished = True

    async def _step(self, due: int) -> None:
        now = self.pacer.now()
        if due > now:
            self._progress(now)
            self.clock.passed(now, self.source.next_event_time())
            await asyncio.sleep(min(self.pacer.seconds_until(due), 0.05))
            return
        self._send(self.source.take(now, CHUNK))
        waited = time.monotonic()
        await self.hub.drain()
        waited = time.monotonic() - waited
        if waited > 0.01:
            self.pacer.skip(waited)
        await asyncio.sleep(0)

    async def _step_at_full_speed(self) -> None:
        if not self.hub.routes:
            await self._wait_for_readers()
        frames = self.source.take(None, CHUNK)
        start = 0
        if self.hub.unsynced:
            for index, frame in enumerate(frames):
                if self.hub.awaits_snapshot(frame):
                    self._send(frames[start : index + 1])
                    start = index + 1
                    await self._wait_for_snapshot(frame.symbol)
        self._send(frames[start:] if start else frames)
        await self.hub.drain()
        await asyncio.sleep(0)

    def _send(self, frames: list[Frame]) -> None:
        note, latest = self.market.note, None
        sent = self.clock.sent
        for frame in frames:
            note(frame)
            if frame.event_time:
                sent(frame.event_time, frame.due)
        if frames:
            latest = frames[-1]
            self._progress(latest.due)
        self.dispatched += len(frames)
        self.hub.dispatch(frames if self.filter is None else self.filter(frames))
        self.hub.write()

    def _progress(self, position: int) -> None:
        self.position = max(self.position, position)
        if self.on_progress is not None:
            self.on_progress(self.position)

    async def _wait_for_readers(self) -> None:
        hub = self.hub
        while True:
            hub.changed.clear()
            if hub.routes:
                if self.source.streams and self.source.streams <= hub.routes.keys():
                    return
                left = hub.last_subscription + self.settle - time.monotonic()
                if left <= 0:
                    return
                await _wait(hub.changed, left)
            else:
                await _wait(hub.changed, None)

    async def _wait_for_snapshot(self, symbol: str) -> None:
        deadline = time.monotonic() + self.settle
        await self.hub.drain()
        while symbol in self.hub.unsynced and (left := deadline - time.monotonic()) > 0:
            self.hub.changed.clear()
            await _wait(self.hub.changed, left)
        self.hub.unsynced.discard(symbol)


async def _wait(event: asyncio.Event, timeout: float | None) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout)
    except TimeoutError:
        return
