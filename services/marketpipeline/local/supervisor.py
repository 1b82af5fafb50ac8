"""The supervisor: starts components in order, waits until each is ready, restarts what dies, stops all in order.

A component that ends is started again after a wait that doubles from half a second to ten seconds, and is reset
once it has been ready for a minute. One that says that its input is wrong (status 2), or that ended five times in a
row without having become ready, has failed for good.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marketpipeline.backoff import Backoff
from marketpipeline.errors import MarketPipelineError, PermanentError
from marketpipeline.local.component import Component, NotReady, Successor
from marketpipeline.local.managed_process import Failure, ManagedProcess, State, last_words
from marketpipeline.local.reaper import Reaper

__all__ = ["Step", "Supervisor"]

FIRST_WAIT = 0.5
LONGEST_WAIT = 10.0
STABLE_SECONDS = 60.0
MOST_FAILURES = 5
NO_JITTER = (1.0, 1.0)
"""What restarts here shares nothing with what restarts elsewhere."""


@dataclass(slots=True)
class Step:
    """Something that is done once on the way up, e.g. making the topics. `run` blocks; it may be repeated."""

    name: str
    after: Sequence[str]
    run: Callable[[], None]
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Runs components on the running event loop, which must be the main thread's.

    `log_of` gives the log of a component; `on_change` is told of each change of a process's state and must be quick.
    `failed` is set to the first component's failure for good.
    """

    def __init__(
        self,
        components: Sequence[Component],
        steps: Sequence[Step],
        reaper: Reaper,
        log_of: Callable[[str], Path],
        on_change: Callable[[ManagedProcess], None] = lambda managed: None,
    ) -> None:
        self.processes = {component.name: ManagedProcess(component, on_change, _backoff()) for component in components}
        self._steps = {step.name: step for step in steps}
        self._reaper = reaper
        self._log_of = log_of
        self._on_change = on_change
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.failed: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()

    def start(self) -> None:
        """Begin to start everything."""
        for managed in self.processes.values():
            self._tasks[managed.name] = asyncio.create_task(self._watched(managed.name, self._run(managed)))
        for step in self._steps.values():
            self._tasks[step.name] = asyncio.create_task(self._watched(step.name, self._take(step)))

    async def ready(self) -> None:
        """Wait until all have been ready. Raises Failure when a component fails for good meanwhile."""
        waiting = asyncio.create_task(self._all_of([*self._steps, *self.processes]))
        both: set[asyncio.Future[Any]] = {waiting, self.failed}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if self.failed.done():
            waiting.cancel()
            raise self.failed.result()

    async def stop(self, stages: Sequence[Sequence[str]], before: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        """Stop all, stage by stage; `before` is awaited before each stage with the names in it."""
        for name in self._steps:
            await self._cancel(name)
        named = {name for stage in stages for name in stage}
        rest = [name for name in self.processes if name not in named]
        there = [[name for name in stage if name in self.processes] for stage in stages]
        for stage in (rest, *there):
            if stage:
                await before(stage)
                await asyncio.gather(*(self._stop(self.processes[name]) for name in stage))

    async def add(self, component: Component) -> None:
        """Start one more and wait until it is ready. Raises Failure when anything fails for good meanwhile."""
        managed = self.processes[component.name] = ManagedProcess(component, self._on_change, _backoff())
        self._tasks[managed.name] = asyncio.create_task(self._watched(managed.name, self._run(managed)))
        waiting = asyncio.create_task(managed.ready.wait())
        both: set[asyncio.Future[Any]] = {waiting, self.failed}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self.failed.done():
            raise self.failed.result()

    async def remove(self, name: str) -> None:
        """Stop one for good."""
        await self._stop(self.processes.pop(name))
        self._tasks.pop(name, None)

    async def restart(self, component: Component) -> None:
        """Stop the one of this name and start `component` in its place."""
        await self.remove(component.name)
        await self.add(component)

    async def hand_over(self, successor: Successor) -> None:
        """Start `successor` beside the one of its name, and stop that when the next has caught up.

        Raises Failure when it does not; then it is ended, and the one before runs on.
        """
        name, last = successor.name, self.processes[successor.name]
        managed = ManagedProcess(successor, lambda _: None, _backoff())
        running = asyncio.create_task(self._run(managed))
        try:
            await self._caught_up(successor, managed, running)
        except BaseException:
            managed.stopping = True
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            raise
        await self._stop(last)
        managed.on_change = self._on_change
        self.processes[name] = managed
        self._tasks[name] = asyncio.create_task(self._watched(name, running))
        self._on_change(managed)

    async def _caught_up(self, successor: Successor, managed: ManagedProcess, running: asyncio.Task[None]) -> None:
        deadline, waited_for = time.monotonic() + successor.ready_seconds, ""
        while time.monotonic() < deadline:
            if running.done():
                running.result()
            if managed.failures or managed.restarts:
                raise Failure(f"{successor.name}: the next one ended\n{last_words(self._log_of(managed.name))}")
            try:
                await asyncio.to_thread(successor.check_synced)
            except NotReady as error:
                waited_for = str(error)
                await asyncio.sleep(0.2)
            else:
                return
        raise Failure(
            f"{successor.name}: the next one is not in sync within {successor.ready_seconds:g} s: {waited_for}"
        )

    async def kill(self) -> None:
        """End all at once."""
        for managed in self.processes.values():
            managed.stopping = True
            if managed.process is not None:
                managed.process.kill()
        for name in self._tasks:
            await self._cancel(name)

    async def _all_of(self, names: Sequence[str]) -> None:
        for name in names:
            await (self._steps[name].done if name in self._steps else self.processes[name].ready).wait()

    async def _watched(self, name: str, work: Awaitable[None]) -> None:
        """Whatever ends a task but its cancellation is a failure that everyone hears of."""
        try:
            await work
        except Failure as failure:
            self._fail(failure)
        except Exception as error:  # noqa: BLE001 - a task that ends unheard would leave the run waiting for ever
            self._fail(Failure(f"{name}: {type(error).__name__}: {error}"))

    def _fail(self, failure: Failure) -> None:
        if not self.failed.done():
            self.failed.set_result(failure)

    async def _take(self, step: Step) -> None:
        await self._all_of(step.after)
        backoff = _backoff()
        for attempt in range(MOST_FAILURES):
            try:
                await asyncio.to_thread(step.run)
            except Failure:
                raise
            except MarketPipelineError as error:
                if isinstance(error, PermanentError) or attempt == MOST_FAILURES - 1:
                    raise Failure(f"{step.name}: {error}") from error
                await asyncio.sleep(backoff.next())
            else:
                step.done.set()
                return

    async def _run(self, managed: ManagedProcess) -> None:
        await self._all_of(managed.component.after)
        while not managed.stopping:
            managed.turn(State.STARTING)
            try:
                reason = await managed.run_once(self._reaper, self._log_of(managed.name))
            except PermanentError as error:
                reason = str(error)
            if not managed.stopping:
                await self._pause(managed, reason)

    async def _pause(self, managed: ManagedProcess, reason: str) -> None:
        """Wait before the next start. Raises Failure instead when it has failed too often."""
        was_ready, managed.ready_at = managed.ready_at, None
        stable = was_ready is not None and time.monotonic() - was_ready > STABLE_SECONDS
        if stable:
            managed.backoff.reset()
        managed.failures = managed.failures + 1 if was_ready is None else 0
        if managed.failures >= MOST_FAILURES:
            managed.turn(State.FAILED, reason)
            words = last_words(self._log_of(managed.name))
            raise Failure(f"{managed.name} failed {managed.failures} times in a row, at last it {reason}\n{words}")
        managed.restarts += 1
        managed.turn(State.RESTARTING, reason)
        await asyncio.sleep(managed.backoff.next())

    async def _stop(self, managed: ManagedProcess) -> None:
        managed.stopping = True
        process = managed.process
        if process is not None:
            managed.turn(State.STOPPING)
            await process.stop(managed.component.stop_signal, managed.component.stop_seconds)
        await self._cancel(managed.name)
        if managed.state is not State.FAILED:
            managed.turn(State.STOPPED)

    async def _cancel(self, name: str) -> None:
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _backoff() -> Backoff:
    return Backoff(FIRST_WAIT, LONGEST_WAIT, jitter=NO_JITTER)
