"""What a pipeline on this machine has stored, whether it runs now or has ended."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from marketpipeline.errors import InvalidInput, PermanentError, Problem
from marketpipeline.local.component import NotReady, StoreServer
from marketpipeline.local.components.broker import Broker
from marketpipeline.local.environment import without_libpq_variables
from marketpipeline.local.ports import free_ports
from marketpipeline.local.prerequisites import find_java, require_kafka
from marketpipeline.local.process import Process, run_to_end
from marketpipeline.local.reaper import Reaper
from marketpipeline.local.state import STORES, StateFolder, StateInUse, is_folder
from marketpipeline.readers import Blocking, blocking, readers_of
from marketpipeline.registry import resolve
from marketpipeline.settings import ApiSettings, Stores
from marketpipeline.settings.local import LocalSettings
from marketpipeline.sink_kinds import ReadRank, sink_kinds

__all__ = ["Stored", "only_folder", "open_broker", "open_stored"]

R = TypeVar("R")

WAIT_SECONDS = 60.0
PREPARE_SECONDS = 60.0
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Stored:
    """The stores of a pipeline, and what it follows, whether there is anything of it yet or not."""

    readers: Blocking
    symbols: Sequence[str] = ()
    windows: Sequence[str] = ()


def only_folder(command: str, pipeline: str | None = None, root: Path = Path(".marketpipeline")) -> Path:
    """The state folder below `root` that a command means without `--state`: that of the pipeline's name, or the only
    one, of this pipeline where one is given.

    Raises InvalidInput, which names the command, where there is none, or several.
    """
    found = sorted(path.parent for path in root.glob("*/version.json"))
    own = [path for path in found if pipeline is None or StateFolder(path, lock=-1).pipeline == pipeline]
    if pipeline is not None and root / pipeline in own:
        return root / pipeline
    if len(own) == 1:
        return own[0]
    if own:
        raise InvalidInput(command, [Problem("--state", None, f"must name one of {', '.join(map(str, own))}")])
    others = f", only of {', '.join(path.name for path in found)}" if found else ""
    expected = f"holds no state of {pipeline or 'a pipeline'}{others}; name the state folder of a run with --state"
    raise InvalidInput(command, [Problem("--state", str(root), expected)])


@contextmanager
def open_stored(folder: Path) -> Iterator[Stored]:
    """The stores of the state folder that keep a history: of the run that is on now, else started for this block.

    Waits for a run that is just starting, and for another query that has them. Raises InvalidInput for a folder that
    holds no state, PermanentError when a server does not come up.
    """
    with without_libpq_variables(), _held(folder, _running) as (state, running):
        if running:
            with _reading(running, state) as stored:
                yield stored
        else:
            with _started(state) as servers, _reading(servers, state) as stored:
                yield stored


@contextmanager
def open_broker(folder: Path) -> Iterator[str]:
    """The address of the state folder's broker: of the run that is on now, else started for this block.

    Waits and raises as `open_stored` does.
    """
    with _held(folder, _running_broker) as (state, running):
        if running:
            yield running
            return
        if not (state.path / "broker" / "formatted").exists():
            expected = "holds nothing of a broker; its run ended before it had one"
            raise InvalidInput("state folder", [Problem("--state", str(state.path), expected)])
        places = LocalSettings()
        require_kafka(places.kafka_jars)
        java, (port, controller) = find_java(places.java_home).program, free_ports(2)
        folder = state.folder("broker")
        broker = Broker(java=java, jars=places.kafka_jars, folder=folder, port=port, controller_port=controller)
        with _serving(state, [broker]):
            yield broker.address


@contextmanager
def _held(folder: Path, running: Callable[[StateFolder], R]) -> Iterator[tuple[StateFolder, R | None]]:
    """The folder of a run that has ended, taken for the block; or that of one that is on, and what is found of it."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            state = StateFolder.open_existing(folder, wait_seconds=0.0)
        except StateInUse:
            state = StateFolder(folder.absolute(), lock=-1)
            if found := running(state):
                yield state, found
                return
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            break
    try:
        yield state, None
    finally:
        state.close()


@contextmanager
def _reading(servers: Mapping[str, StoreServer], state: StateFolder) -> Iterator[Stored]:
    live, known = state.read_live(), state.read_settings(STORES)
    stores = {kind: known.get(kind, {}) | dict(server.settings) for kind, server in servers.items()}
    stores |= _in_folders(known)
    settings = ApiSettings(
        pipeline=live.get("pipeline", state.path.name),
        symbols=live.get("symbols", []),
        windows=live.get("windows", []),
        stores=Stores.model_validate(stores),
    )
    with blocking(readers_of(settings, "marketpipeline-query", PATIENCE_SECONDS)) as readers:
        yield Stored(readers, settings.symbols, settings.windows)


def _in_folders(known: Mapping[str, Any]) -> dict[str, Any]:
    """By kind of sink the stores of a run that need no server."""
    kinds = sink_kinds()
    return {n: store for n, store in known.items() if n in kinds and kinds[n].reader is not None and is_folder(store)}


def _servers(state: StateFolder, port: Callable[[StoreServer], int | None]) -> dict[str, StoreServer]:
    """By kind of sink the servers of this machine whose stores keep a history, each at its port; None leaves it out."""
    found = {}
    for kind in sink_kinds().values():
        if kind.server is not None and kind.reader is not None and kind.rank is not ReadRank.NEWEST:
            make: Callable[[StateFolder, int], StoreServer] = resolve(kind.server)
            at = port(make(state, 0))
            if at is not None:
                found[kind.name] = make(state, at)
    return found


def _running(state: StateFolder) -> Mapping[str, StoreServer]:
    """The servers of a run that is on, those that are ready."""
    components = state.read_live().get("components", {})

    def port(server: StoreServer) -> int | None:
        component = components.get(server.name, {})
        return urlsplit(component["url"]).port if component.get("pid") else None

    return _servers(state, port)


def _running_broker(state: StateFolder) -> str:
    """The address of the broker of a run that is on; empty while it is not ready."""
    component = state.read_live().get("components", {}).get("broker", {})
    return str(component["url"]) if component.get("pid") else ""


@contextmanager
def _started(state: StateFolder) -> Iterator[Mapping[str, StoreServer]]:
    """The ended run's servers, for the time of the block."""
    servers = _servers(state, lambda server: free_ports(1)[0] if server.holds_data else None)
    if not servers and not _in_folders(state.read_settings(STORES)):
        problem = Problem("--state", str(state.path), "holds no tables; its run ended before it had made them")
        raise InvalidInput("query", [problem])
    with _serving(state, servers.values()):
        yield servers


@contextmanager
def _serving(state: StateFolder, servers: Iterable[StoreServer | Broker]) -> Iterator[None]:
    """Servers that run for the time of the block; the reaper ends them when we are killed meanwhile."""
    reaper = Reaper(uuid.uuid4().hex, [state.lock])
    with asyncio.Runner() as runner, ExitStack() as started:
        started.callback(reaper.dismiss)
        for server in servers:
            process = runner.run(_start(server, state.log(server.name), reaper))
            started.callback(_stop, runner, process, server)
        yield


def _stop(runner: asyncio.Runner, process: Process, server: StoreServer | Broker) -> None:
    runner.run(process.stop(server.stop_signal, server.stop_seconds))


async def _start(component: StoreServer | Broker, log: Path, reaper: Reaper) -> Process:
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
                raise PermanentError(f"{component.name} does not start: {error}; see {log}") from error
            await asyncio.sleep(0.05)
        else:
            return process
