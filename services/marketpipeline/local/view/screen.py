"""A run as a live screen: components, markets, candles as they form, alerts as they fire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.live import Live

from marketpipeline.errors import MarketPipelineError
from marketpipeline.local.managed_process import ManagedProcess
from marketpipeline.local.view.base import Heading
from marketpipeline.local.view.observer import Observation, Observer, first_candle
from marketpipeline.local.view.render import Frame, render
from marketpipeline.local.view.screenshot import save_screenshot

__all__ = ["ScreenView"]

LOOK_EVERY_SECONDS = 0.5


class ScreenView:
    """Takes the terminal over while the run lasts, and leaves its last picture and a summary behind."""

    def __init__(self, heading: Heading, observer: Observer, screenshot: Path | None) -> None:
        self._heading = heading
        self._observer = observer
        self._screenshot = screenshot
        self._console = Console()
        self._processes: Mapping[str, ManagedProcess] = {}
        self._seen = Observation()
        self._message = ""
        self._began = time.monotonic()
        self._began_at = time.time_ns() // 1_000
        self._first_candle: float | None = None
        self._live: Live | None = None

    @asynccontextmanager
    async def shown(self, processes: Mapping[str, ManagedProcess]) -> AsyncIterator[None]:
        """Draw twice a second, on the event loop: no other thread touches the terminal."""
        self._processes = processes
        self._began = time.monotonic()
        with Live(console=self._console, screen=True, auto_refresh=False, redirect_stdout=False) as self._live:
            await self._observer.open()
            drawing = asyncio.create_task(self._draw_on())
            try:
                yield
            finally:
                drawing.cancel()
                await asyncio.gather(drawing, return_exceptions=True)
                await self._observer.close()
                self._draw()
        self._console.print(render(self._frame(height=None)))

    def follow(self, symbols: Sequence[str]) -> None:
        """From now on these are shown."""
        self._heading = replace(self._heading, symbols=tuple(symbols))

    def changed(self, managed: ManagedProcess) -> None:
        """Nothing: the next drawing shows it."""

    def say(self, text: str) -> None:
        """Show it in the last line until something else is said."""
        self._message = text

    def waiting_for(self, text: str) -> None:
        """Show it in the last line."""
        self._message = f"waiting for {text}"

    async def settled(self) -> None:
        """Look once more, and save the picture that was asked for."""
        await self._look()
        if self._screenshot is not None:
            save_screenshot(self._screenshot, self._heading, self._processes, self._observer, self._seen)

    def ended(self, failure: MarketPipelineError | None) -> None:
        """The summary goes to the last line of what stays on the terminal."""
        first = "" if self._first_candle is None else f", first candle after {self._first_candle:.1f} s"
        late = f"; {self._observer.late_trades:,} late trades are in no candle" if self._observer.late_trades else ""
        self._message = (
            f"{'failed' if failure else 'ended'} after {time.monotonic() - self._began:.0f} s{first}{late}. "
            f"Read what is stored: marketpipeline query candles SYMBOL --state {self._heading.state}"
        )

    async def _draw_on(self) -> None:
        while True:
            looking = asyncio.create_task(self._look())
            while not looking.done():
                self._draw()
                await asyncio.wait({looking}, timeout=LOOK_EVERY_SECONDS)
            self._draw()
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _look(self) -> None:
        self._seen = await self._observer.look(self._heading.shown, self._processes)
        if self._first_candle is None and first_candle(self._seen.symbols, self._began_at) is not None:
            self._first_candle = time.monotonic() - self._began

    def _words(self) -> str:
        """The last line: until all are ready, who is not."""
        waiting = [managed.name for managed in self._processes.values() if not managed.ready.is_set()]
        return f"starting, {', '.join(waiting)} to come" if waiting and not self._message else self._message

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(render(self._frame(height=self._console.height)), refresh=True)

    def _frame(self, height: int | None) -> Frame:
        processes = list(self._processes.values())
        return Frame(self._heading, processes, self._observer, self._seen, self._words(), self._console.width, height)
