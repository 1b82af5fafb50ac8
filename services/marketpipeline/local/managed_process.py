"""One component under the supervisor: how it is, and one life of its process from start to end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from marketpipeline.backoff import Backoff
from marketpipeline.errors import MarketPipelineError
from marketpipeline.local.component import Component, NotReady
from marketpipeline.local.process import Process, run_to_end
from marketpipeline.local.reaper import Reaper

__all__ = ["Failure", "ManagedProcess", "State", "last_words"]

PREPARE_SECONDS = 120.0
HANGING_SECONDS = 30.0
INVALID_INPUT = 2


class State(StrEnum):
    """Where a component is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    UNREADY = "not ready"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Failure(MarketPipelineError):
    """A component has failed for good. `invalid_input` tells that what it was given is wrong."""

    def __init__(self, message: str, *, invalid_input: bool = False) -> None:
        super().__init__(message)
        self.invalid_input = invalid_input


@dataclass(slots=True)
class ManagedProcess:
    """A component and how it is. `details` is what it last said of itself, `note` what is waited for or went wrong.

    `failures` counts its ends in a row without having become ready, `backoff` those without a minute of being ready.
    """

    component: Component
    on_change: Callable[[ManagedProcess], None]
    backoff: Backoff
    state: State = State.WAITING
    process: Process | None = None
    restarts: int = 0
    failures: int = 0
    ready_at: float | None = None
    details: Mapping[str, object] = field(default_factory=dict)
    note: str = ""
    stopping: bool = False
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        """The component's name."""
        return self.component.name

    @property
    def pid(self) -> int | None:
        """Process id, from when the component is ready until its process ends."""
        if self.process is None or self.state not in (State.READY, State.UNREADY):
            return None
        return self.process.pid

    def turn(self, state: State, note: str = "") -> None:
        """Go to another state, and tell of it."""
        changed = self.state is not state
        self.state, self.note = state, note
        if changed:
            self.on_change(self)

    async def run_once(self, reaper: Reaper, log: Path) -> str:
        """From preparation to end; returns why it ended. Raises Failure when its input is wrong."""
        for command in await asyncio.to_thread(self.component.prepare):
            await run_to_end(command, log, reaper, PREPARE_SECONDS)
        if self.stopping:
            return "stopped"
        self.process = process = await Process.start(self.component.command(), log, reaper)
        ended = asyncio.create_task(process.wait())
        try:
            reason = await self._until_ready(ended) or await self._while_ready(ended)
            if not ended.done():
                await process.stop(self.component.stop_signal, self.component.stop_seconds)
            status = await ended
        except BaseException:
            process.kill()
            await ended
            raise
        finally:
            self.process = None
        if status == INVALID_INPUT and not self.stopping:
            self.turn(State.FAILED, "its input is wrong")
            raise Failure(f"{self.name} cannot run: {refusal(log)}", invalid_input=True)
        return reason or (f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}")

    async def _until_ready(self, ended: asyncio.Task[int]) -> str:
        """Empty once it is ready or has ended, else why it has to be ended."""
        deadline = time.monotonic() + self.component.ready_seconds
        pause = 0.1
        while not ended.done():
            try:
                details = await asyncio.to_thread(self.component.check)
            except NotReady as waited_for:
                self.note = str(waited_for)
            else:
                self._found_ready(details)
                return ""
            if time.monotonic() > deadline:
                return f"was not ready within {self.component.ready_seconds:g} s: {self.note}"
            await asyncio.wait({ended}, timeout=pause)
            pause = min(0.5, pause * 1.5)
        return ""

    async def _while_ready(self, ended: asyncio.Task[int]) -> str:
        """Watch it to its end; returns why it has to be ended, when it hangs."""
        hanging_since: float | None = None
        while not ended.done():
            await asyncio.wait({ended}, timeout=1.0)
            if ended.done() or self.stopping:
                await asyncio.wait({ended})
                break
            try:
                details = await asyncio.to_thread(self.component.check)
            except NotReady as waited_for:
                if not self.stopping:
                    self.turn(State.UNREADY, str(waited_for))
                now = time.monotonic()
                alive = await asyncio.to_thread(self.component.alive)
                hanging_since = None if alive else hanging_since or now
                if hanging_since is not None and now - hanging_since > HANGING_SECONDS:
                    return f"gave no sign of life for {HANGING_SECONDS:g} s: {waited_for}"
            else:
                hanging_since = None
                self._found_ready(details)
        return ""

    def _found_ready(self, details: Mapping[str, object]) -> None:
        if self.stopping:
            return
        self.details = details
        self.ready_at = self.ready_at or time.monotonic()
        self.turn(State.READY)
        self.ready.set()


def last_words(log: Path, lines: int = 12) -> str:
    """The end of a log, and where it is."""
    try:
        said = log.read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        said = []
    return "\n".join([*(f"  {line}" for line in said), f"  (its log: {log})"])


def refusal(log: Path) -> str:
    """What a process said of its input when it refused it: from its last line with `error:` on."""
    try:
        said = log.read_text(errors="replace").splitlines()
    except OSError:
        said = []
    begins = [number for number, line in enumerate(said) if line.startswith("error: ")]
    return "\n".join(said[begins[-1] :]).removeprefix("error: ") if begins else last_words(log)
