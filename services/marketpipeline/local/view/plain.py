"""A run as lines of text: what happens, when it happens. For logs, pipes and terminals that can do no more."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from marketpipeline.errors import MarketPipelineError
from marketpipeline.local.managed_process import ManagedProcess, State
from marketpipeline.local.view.base import Heading
from marketpipeline.local.view.format import describe_candle, describe_news
from marketpipeline.local.view.observer import Observation, Observer, first_candle
from marketpipeline.local.view.screenshot import save_screenshot

__all__ = ["PlainView"]

LOOK_EVERY_SECONDS = 1.0
WAIT_LINE_EVERY_SECONDS = 5.0
MOST_NEWS_A_LOOK = 5
"""Lines of alerts and feed events from one look; of more the number is given."""


class PlainView:
    """Prints to standard output, a line at a time."""

    def __init__(self, heading: Heading, observer: Observer, screenshot: Path | None) -> None:
        self._heading = heading
        self._observer = observer
        self._screenshot = screenshot
        self._processes: Mapping[str, ManagedProcess] = {}
        self._began = time.monotonic()
        self._started: dict[str, float] = {}
        self._began_at = time.time_ns() // 1_000
        self._has_candles = False
        self._waited = 0.0
        self._seen = Observation()

    @asynccontextmanager
    async def shown(self, processes: Mapping[str, ManagedProcess]) -> AsyncIterator[None]:
        """Look every second and print what is new."""
        self._processes = processes
        self._began = time.monotonic()
        self.say(f"pipeline {self._heading.pipeline}: {self._heading.source}; state in {self._heading.state}")
        await self._observer.open()
        looking = asyncio.create_task(self._look_on())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            await self._observer.close()

    def follow(self, symbols: Sequence[str]) -> None:
        """From now on the last records of these are shown."""
        self._heading = replace(self._heading, symbols=tuple(symbols))

    def changed(self, managed: ManagedProcess) -> None:
        """A line for each change that says something."""
        now = time.monotonic()
        if managed.state is State.STARTING:
            self._started[managed.name] = now
        elif managed.state is State.READY:
            took = now - self._started.get(managed.name, now)
            self.say(f"{managed.name} is ready ({took:.1f} s) {managed.component.address}")
        elif managed.state in (State.RESTARTING, State.UNREADY, State.FAILED):
            self.say(f"{managed.name}: {managed.state.value}: {managed.note}")
        elif managed.state is State.STOPPED:
            self.say(f"{managed.name} is stopped")

    def say(self, text: str) -> None:
        """One line with the time of day."""
        sys.stdout.write(f"{datetime.now():%H:%M:%S} {text}\n")
        sys.stdout.flush()

    def waiting_for(self, text: str) -> None:
        """A line every few seconds."""
        if time.monotonic() - self._waited >= WAIT_LINE_EVERY_SECONDS:
            self._waited = time.monotonic()
            self.say(f"waiting for {text}")

    async def settled(self) -> None:
        """Look once more, and save the picture of the screen that was asked for."""
        await self._look()
        if self._screenshot is not None:
            save_screenshot(self._screenshot, self._heading, self._processes, self._observer, self._seen)

    def ended(self, failure: MarketPipelineError | None) -> None:
        """A summary of the run."""
        observer = self._observer
        for symbol in self._seen.symbols:
            candle = symbol.closed.get("1m") or next(iter(symbol.closed.values()), None)
            if candle is not None:
                self.say(f"last closed: {describe_candle(candle)}")
        restarts = sum(managed.restarts for managed in self._processes.values())
        counts = {
            "alerts": observer.alert_count,
            "gaps": observer.gap_count,
            "late trades": observer.late_trades,
            "dead letters": observer.dead_letters,
            "restarts": restarts,
        }
        self.say(
            f"ended after {time.monotonic() - self._began:.0f} s: "
            + ", ".join(f"{count:,} {what}" for what, count in counts.items())
            + (" (a component failed)" if failure else "")
        )
        if self._has_candles:
            self.say(f"read what is stored: marketpipeline query candles SYMBOL --state {self._heading.state}")

    async def _look_on(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _look(self) -> None:
        self._seen = await self._observer.look(self._heading.shown, self._processes)
        self._tell_first_candle()
        news = [words for record in self._seen.news if (words := describe_news(record)) is not None]
        for words in news[:MOST_NEWS_A_LOOK]:
            self.say(words)
        if len(news) > MOST_NEWS_A_LOOK:
            self.say(f"… and {len(news) - MOST_NEWS_A_LOOK:,} more alerts and feed events")

    def _tell_first_candle(self) -> None:
        candle = first_candle(self._seen.symbols, self._began_at)
        if self._has_candles or candle is None:
            return
        self._has_candles = True
        self.say(f"first candle after {time.monotonic() - self._began:.1f} s: {describe_candle(candle)}")
        if self._heading.api:
            self.say(f"API: {self._heading.api}/docs")
        if self._heading.dashboard:
            self.say(f"dashboard: {self._heading.dashboard}")
