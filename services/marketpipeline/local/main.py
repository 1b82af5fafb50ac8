"""`run`: a pipeline on this machine, from checks to the last process stopped."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from marketpipeline.errors import InvalidInput, MarketPipelineError, Problem, RetryableError
from marketpipeline.local.change import Change, read_change, settings_of
from marketpipeline.local.drain import CaughtUp, drained, group_of_job, groups_of_sinks, wait_for
from marketpipeline.local.environment import without_libpq_variables
from marketpipeline.local.extras import require_extras
from marketpipeline.local.managed_process import ManagedProcess
from marketpipeline.local.offsets import Offsets
from marketpipeline.local.options import RunOptions
from marketpipeline.local.ports import require_port
from marketpipeline.local.prerequisites import find_java, require_flink, require_kafka, require_open_files
from marketpipeline.local.process import created_at, end_leftovers
from marketpipeline.local.reaper import Reaper
from marketpipeline.local.schedule import run_scheduled
from marketpipeline.local.selecting import Selecting
from marketpipeline.local.stack import LocalStack, Ports, assemble
from marketpipeline.local.state import StateFolder, choose_folder
from marketpipeline.local.steps import steps_of
from marketpipeline.local.supervisor import Supervisor
from marketpipeline.local.view import View, make_view
from marketpipeline.plan import Plan, plan
from marketpipeline.settings.local import LocalSettings
from marketpipeline.spec import MarketPipeline

__all__ = ["run"]

INTERRUPTED = 130
SETTLE_SECONDS = 5.0
CHANGES_LOOKED_FOR_SECONDS = 0.5
SYMBOLS_SHOWN = 8


def run(pipeline: MarketPipeline, source: str, options: RunOptions) -> int:
    """Run `pipeline`, read from the file `source`, until it ends as `options` say; returns the exit status.

    Raises InvalidInput for what is wrong with the machine, the options or the state folder, before anything is
    started, and MarketPipelineError when a component fails for good; then everything has been stopped again.
    """
    if pipeline.spec.suspend:
        raise InvalidInput(source, [Problem("spec.suspend", True, "must be false for a pipeline that is to run")])
    places = LocalSettings()
    java = find_java(places.java_home)
    require_kafka(places.kafka_jars)
    require_flink(places.flink_python)
    require_open_files()
    require_extras(pipeline, source)
    if pipeline.spec.api.enabled:
        require_port(pipeline.spec.api.port, "spec.api.port", source)
    if pipeline.spec.dashboard.enabled:
        require_port(pipeline.spec.dashboard.port, "spec.dashboard.port", source)
    folder = options.state or choose_folder(pipeline.name, options.source)
    state = StateFolder.open(folder, pipeline.name, options.source)
    try:
        end_leftovers(state.read_live())
        planned = plan(pipeline, state.read_selection() if pipeline.spec.selectors else ())

        def assembled(pipeline: MarketPipeline, planned: Plan, ports: Ports | None = None) -> LocalStack:
            return assemble(pipeline, planned, options, state, places, java, ports)

        stack = assembled(pipeline, planned)
        view = make_view(pipeline, planned, stack, options, state.path)
        with without_libpq_variables():
            return asyncio.run(
                Run(pipeline, planned, stack, options, state, view, assembled, places.listing_seconds).run()
            )
    finally:
        state.close()


class Run:
    """One run, from the first process to the last one stopped."""

    def __init__(
        self,
        pipeline: MarketPipeline,
        plan: Plan,
        stack: LocalStack,
        options: RunOptions,
        state: StateFolder,
        view: View,
        assemble: Callable[[MarketPipeline, Plan, Ports | None], LocalStack],
        listing_seconds: float,
    ) -> None:
        self._selecting = Selecting(state, listing_seconds, view.say)
        self._assemble = assemble
        self._asked = state.wanted_change().get("id")
        self._pipeline = pipeline
        self._plan = plan
        self._stack = stack
        self._options = options
        self._state = state
        self._view = view
        self._reaper = Reaper(uuid.uuid4().hex, [state.lock])
        self._began = datetime.now(UTC)
        self._written = True
        self._told: dict[str, Mapping[str, object]] = {}
        self._signals: asyncio.Queue[signal.Signals] = asyncio.Queue()

    async def run(self) -> int:
        """Start, wait for the end, stop. Raises the failure of a component that failed for good."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signals.put_nowait, number)
        steps = steps_of(self._pipeline, self._plan, self._stack)
        supervisor = Supervisor(self._stack.components, steps, self._reaper, self._state.log, self._changed)
        self._processes = supervisor.processes
        try:
            async with self._view.shown(self._processes):
                supervisor.start()
                status, failure = await self._until_end(supervisor)
                await self._stop(supervisor, settle=failure is None)
                self._view.ended(failure)
        finally:
            await supervisor.kill()
            self._write_live(self._live() | {"phase": "ended", "components": {}})
            self._reaper.dismiss()
        if failure is not None:
            raise failure
        return status

    async def _until_end(self, supervisor: Supervisor) -> tuple[int, MarketPipelineError | None]:
        """Exit status, and the failure if there was one, as soon as the first reason to end is there."""
        work = asyncio.create_task(self._work(supervisor))
        told = asyncio.create_task(self._signals.get())
        reasons: set[asyncio.Future[Any]] = {work, told, supervisor.failed}
        done, _ = await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
        for task in (work, told):
            task.cancel()
        await asyncio.gather(work, told, return_exceptions=True)
        if supervisor.failed in done:
            return 1, supervisor.failed.result()
        if work in done and (error := work.exception()) is not None:
            if isinstance(error, MarketPipelineError):
                return 1, error
            raise error
        if work in done:
            return 0, None
        self._view.say("stopping (again to stop at once)")
        return (INTERRUPTED if told.result() is signal.SIGINT else 0), None

    async def _work(self, supervisor: Supervisor) -> None:
        """Return when the run has done what it was asked for; without such an end, never."""
        began = time.monotonic()
        await supervisor.ready()
        self._view.say(f"all components are ready after {time.monotonic() - began:.1f} s")
        if self._selecting.due(self._pipeline):
            await self._select(supervisor)
        if self._options.until_drained:
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self._follow(supervisor))
                await drained(lambda: (self._stack, self._plan), self._view.waiting_for)
                following.cancel()
            self._view.say("drained: every frame of the replay is in the tables")
            return
        jobs = self._stack.scheduled
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._follow(supervisor))
            scheduled = group.create_task(run_scheduled(jobs, self._reaper, self._state.log, self._view.say))
            if self._options.seconds is None:
                await asyncio.Event().wait()
            await asyncio.sleep(self._options.seconds or 0.0)
            scheduled.cancel()
            following.cancel()

    async def _follow(self, supervisor: Supervisor) -> None:
        """Make the changes that `marketpipeline apply` asks for, and those of selectors, for ever."""
        while True:
            await asyncio.sleep(CHANGES_LOOKED_FOR_SECONDS)
            asked = self._state.wanted_change()
            if asked.get("id") != self._asked:
                self._asked = asked["id"]
                await self._take_change(supervisor, asked)
            elif self._selecting.due(self._pipeline):
                await self._select(supervisor)

    async def _take_change(self, supervisor: Supervisor, asked: Mapping[str, Any]) -> None:
        """Make a change, or say why not; what ran before runs on then."""
        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            self._view.say(text)
            self._state.tell_changed(asked, said, done=None)

        say(f"changing to {asked['source']}")
        try:
            pipeline = read_change(asked, self._pipeline)
            await self._become(pipeline, await self._selecting.choose(pipeline, self._stack), supervisor, say)
        except MarketPipelineError as error:
            say(f"not changed: {error}")
            self._state.tell_changed(asked, said, done=False)
        else:
            say(f"changed to {asked['source']}")
            self._state.tell_changed(asked, said, done=True)

    async def _select(self, supervisor: Supervisor) -> None:
        """Follow what the selectors stand for now, where that is something else."""
        symbols, before = await self._selecting.choose(self._pipeline, self._stack), self._selecting.symbols
        if set(symbols) == set(before):
            await self._selecting.publish(self._plan, self._stack)
            return
        for word, some in (("new", set(symbols) - set(before)), ("no more", set(before) - set(symbols))):
            if some:
                shown = ", ".join(sorted(some)[:SYMBOLS_SHOWN]) + (", …" if len(some) > SYMBOLS_SHOWN else "")
                self._view.say(f"{len(some)} symbol{'s' * (len(some) != 1)} {word}: {shown}")
        try:
            await self._become(self._pipeline, symbols, supervisor, self._view.say)
        except MarketPipelineError as error:
            self._view.say(f"the symbols stay as they were: {error}")

    async def _become(
        self, pipeline: MarketPipeline, selected: Sequence[str], supervisor: Supervisor, say: Callable[[str], None]
    ) -> None:
        """Change to this pipeline, with these symbols of its selectors. Raises MarketPipelineError where it fails."""
        planned = plan(pipeline, selected)
        before = settings_of(self._stack, self._state)
        stack = self._assemble(pipeline, planned, self._stack.ports)
        try:
            await Change(pipeline, planned, self._stack, stack, before, self._state, say).make(supervisor)
        finally:
            self._stack = stack
        self._pipeline, self._plan = pipeline, planned
        self._view.follow(planned.symbols)
        self._write_live(self._live())
        await self._selecting.keep(selected, planned, stack, pipeline.spec.named)

    async def _stop(self, supervisor: Supervisor, *, settle: bool) -> None:
        """Look a last time and stop in order, so that what came in reaches the tables; at once when told again."""

        async def before(stage: Sequence[str]) -> None:
            if settle:
                await self._settle(stage)

        async def in_order() -> None:
            try:
                await self._view.settled()
            finally:
                await supervisor.stop(self._stack.stop_stages, before)

        stopping = asyncio.create_task(in_order())
        told = asyncio.create_task(self._signals.get())
        both: set[asyncio.Future[Any]] = {stopping, told}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            self._view.say("stopping at once")
            stopping.cancel()
            await supervisor.kill()
        told.cancel()
        failed, _ = await asyncio.gather(stopping, told, return_exceptions=True)
        if isinstance(failed, Exception):
            raise failed

    async def _settle(self, stage: Sequence[str]) -> None:
        """Before the job and the sinks are stopped: let them finish what is there, for a few seconds."""
        groups = []
        if self._stack.stream_job is not None and self._stack.stream_job.name in stage:
            groups = [group for group in [group_of_job(self._plan)] if group is not None]
        elif any(sink.name in stage for sink in self._stack.sinks):
            groups = groups_of_sinks(self._plan)
        if not groups or any(not self._processes[name].ready.is_set() for name in stage if name in self._processes):
            return
        with contextlib.suppress(TimeoutError, MarketPipelineError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await wait_for(CaughtUp(Offsets(self._stack.kafka), groups).look, self._view.waiting_for)

    def _changed(self, managed: ManagedProcess) -> None:
        """Raises nothing: a full disk must end neither the component that changed nor the stopping in order."""
        with contextlib.suppress(OSError):
            self._view.changed(managed)
        with contextlib.suppress(OSError):
            self._tell_state(managed)
        self._write_live(self._live())

    def _tell_state(self, managed: ManagedProcess) -> None:
        """Say once what a component goes on from, or why it began without the state that there is."""
        state = managed.details.get("state")
        if isinstance(state, Mapping) and state["origin"] != "new" and self._told.get(managed.name) != state:
            self._told[managed.name] = state
            self._view.say(f"{managed.name} {state['reason']}")

    def _write_live(self, live: Mapping[str, object]) -> None:
        """Write `state.json`, or say once that it cannot be written; the next change tries again."""
        try:
            self._state.write_live(live)
        except RetryableError as error:
            if self._written:
                with contextlib.suppress(OSError):
                    self._view.say(f"{error}; it goes on without")
            self._written = False
        else:
            self._written = True

    def _live(self) -> dict[str, object]:
        """What `state.json` says: enough to connect to what runs, and to end it when all else failed."""
        return {
            "phase": "running",
            "pipeline": self._pipeline.name,
            "symbols": self._plan.symbols,
            "windows": self._pipeline.spec.windows,
            "started_at": self._began.isoformat(),
            "mark": self._reaper.mark,
            "components": {name: _described(managed) for name, managed in self._processes.items()},
        }


def _described(managed: ManagedProcess) -> dict[str, object]:
    process = None if managed.process is None else managed.process.pid
    return {
        "state": managed.state.value,
        "pid": managed.pid,
        "process": process,
        "created": None if process is None else created_at(process),
        "url": managed.component.address,
        "restarts": managed.restarts,
    }
