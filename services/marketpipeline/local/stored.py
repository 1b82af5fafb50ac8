"""The database of a pipeline on this machine, whether it runs now or has ended."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketpipeline.errors import InvalidInput, PermanentError, Problem
from marketpipeline.local.component import NotReady
from marketpipeline.local.components.postgres import Postgres, in_state
from marketpipeline.local.ports import free_ports
from marketpipeline.local.process import Process, run_to_end
from marketpipeline.local.reaper import Reaper
from marketpipeline.local.state import StateFolder, StateInUse

__all__ = ["Database", "newest_folder", "open_database"]

WAIT_SECONDS = 60.0
PREPARE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Database:
    """Where the tables are (`url` is without the password), and what the pipeline that they belong to follows."""

    url: str
    password: str
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
def open_database(folder: Path) -> Iterator[Database]:
    """The database of the state folder: that of the run that is on now, else one started for this block.

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
                yield running
                return
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
            continue
        break
    try:
        with _started(state) as database:
            yield database
    finally:
        state.close()


def _running(folder: Path) -> Database | None:
    """The database of a run that is on, if it is ready."""
    state = StateFolder(folder.absolute(), lock=-1)
    live = state.read_live()
    postgres = live.get("components", {}).get("postgres", {})
    if not postgres.get("pid"):
        return None
    return _database(postgres["url"], state.password("postgres"), live)


def _database(url: str, password: str, live: Mapping[str, Any]) -> Database:
    return Database(url, password, tuple(live.get("symbols", ())), tuple(live.get("windows", ())))


@contextmanager
def _started(state: StateFolder) -> Iterator[Database]:
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
            yield _database(component.url, component.password, state.read_live())
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
