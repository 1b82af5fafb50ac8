"""What a pipeline on this machine has stored, whether it runs now or has ended."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from marketpipeline.errors import InvalidInput, PermanentError, Problem
from marketpipeline.local.component import NotReady
from marketpipeline.local.components.postgres import Postgres, in_state
from marketpipeline.local.ports import free_ports
from marketpipeline.local.process import Process, run_to_end
from marketpipeline.local.reaper import Reaper
from marketpipeline.local.state import StateFolder, StateInUse
from marketpipeline.readers import Blocking, blocking, readers_of
from marketpipeline.settings import ApiSettings, Stores
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings

__all__ = ["Stored", "newest_folder", "open_stored"]

WAIT_SECONDS = 60.0
PREPARE_SECONDS = 60.0
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Stored:
    """The stores of a pipeline, and what it follows, whether there is anything of it yet or not."""

    readers: Blocking
    symbols: Sequence[str] = ()
    windows: Sequence[str] = ()


def newest_folder(root: Path = Path(".marketpipeline")) -> Path:
    """The state folder below `root` that was used last. Raises InvalidInput where there is none."""
    found = [path.parent for path in root.glob("*/version.json")]
    if not found:
        expected = "holds no state of a pipeline; name the state folder of a run with --state"
        raise InvalidInput("query", [Problem("--state", str(root), expected)])
    return max(found, key=lambda folder: (folder / "lock").stat().st_mtime)


@contextmanager
def open_stored(folder: Path) -> Iterator[Stored]:
    """The stores of the state folder: of the run that is on now, else a database started for this block.

    Waits for a run that is just starting, and for another query that has the database. Raises InvalidInput for a folder
    that holds no state, PermanentError when the database does not come up.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            state = StateFolder.open_existing(folder, wait_seconds=0.0)
        except StateInUse:
            running = _running(folder)
            if running is not None:
                with _reading(running, StateFolder(folder.absolute(), lock=-1)) as stored:
                    yield stored
                return
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
            continue
        break
    try:
        with _started(state) as url, _reading(url, state) as stored:
            yield stored
    finally:
        state.close()


@contextmanager
def _reading(url: str, state: StateFolder) -> Iterator[Stored]:
    live = state.read_live()
    database = TimescaleStoreSettings(url=url, password=SecretStr(state.password("postgres")))
    settings = ApiSettings(
        pipeline=live.get("pipeline", state.path.name),
        symbols=live.get("symbols", []),
        windows=live.get("windows", []),
        stores=Stores.model_validate({"timescale": database}),
    )
    with blocking(readers_of(settings, "marketpipeline-query", PATIENCE_SECONDS)) as readers:
        yield Stored(readers, settings.symbols, settings.windows)


def _running(folder: Path) -> str | None:
    """The address of the database of a run that is on, if it is ready."""
    postgres = StateFolder(folder.absolute(), lock=-1).read_live().get("components", {}).get("postgres", {})
    return str(postgres["url"]) if postgres.get("pid") else None


@contextmanager
def _started(state: StateFolder) -> Iterator[str]:
    """The ended run's database, for the time of the block; the reaper ends it when we are killed meanwhile."""
    if not (state.path / "postgres" / "data").exists():
        problem = Problem("--state", str(state.path), "holds no tables; its run ended before it had made them")
        raise InvalidInput("query", [problem])
    (port,) = free_ports(1)
    component = in_state(state, port)
    reaper = Reaper(uuid.uuid4().hex, [state.lock])
    log = state.log("postgres")
    with asyncio.Runner() as runner:
        process = runner.run(_start(component, log, reaper))
        try:
            yield component.url
        finally:
            runner.run(process.stop(component.stop_signal, component.stop_seconds))
            reaper.dismiss()


async def _start(component: Postgres, log: Path, reaper: Reaper) -> Process:
    for command in component.prepare():
        await run_to_end(command, log, reaper, PREPARE_SECONDS)
    process = await Process.start(component.command(), log, reaper)
    deadline = time.monotonic() + component.ready_seconds
    while True:
        try:
            component.check()
        except NotReady as error:
            if process.status is not None or time.monotonic() > deadline:
                process.kill()
                await process.wait()
                raise PermanentError(f"the database of {component.folder.parent} does not start: {error}") from error
            await asyncio.sleep(0.05)
        else:
            return process
