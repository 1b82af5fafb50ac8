"""Whole runs as a user starts them, of a pipeline without a stream job, so that they are up within seconds; and runs of
toys on a full disk."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from marketpipeline import topic_admin
from marketpipeline.errors import InvalidInput, MarketPipelineError, Problem
from marketpipeline.local import main as module
from marketpipeline.local.main import Run
from marketpipeline.local.managed_process import Failure, ManagedProcess, State
from marketpipeline.local.options import RunOptions
from marketpipeline.local.state import StateFolder
from marketpipeline.plan import plan
from marketpipeline.settings import KafkaSettings
from marketpipeline.spec import load_text
from marketpipeline.topics import TopicKind

from tests.conftest import free_port, wait_for
from tests.services.local.runs import Runs, everything_in
from tests.services.local.toys import SLEEP, Toy, python
from tests.services.simulator.client import serving
from tests.support.broker import RunningBroker


@pytest.mark.timeout(900)
def test_a_life(runs: Runs) -> None:
    """Ctrl-C, another run on the same data, kill -9, and a third: nothing is left behind, nothing is lost."""
    runs.start()
    runs.wait_until_ready()
    assert f"is in use by process {runs.process.pid if runs.process else 0}" in runs.refused()
    running = runs.query("gaps", "BTCUSDT")
    assert running == []
    assert runs.end(signal.SIGINT) == 130
    assert runs.processes() == []
    assert runs.components() == {}
    text = runs.log.read_text()
    for earlier, later in (
        ("ingestion-binance is stopped", "sink-redis is stopped"),
        ("sink-timescale is stopped", "broker is stopped"),
        ("sink-timescale is stopped", "postgres is stopped"),
    ):
        assert text.index(earlier) < text.index(later)

    runs.start()
    runs.wait_until_ready()
    pids = [component["pid"] for component in runs.components().values()]
    assert set(pids) <= set(psutil.pids())
    assert runs.end(signal.SIGKILL) == -signal.SIGKILL
    wait_for(lambda: not runs.processes(), "nothing of the killed run is left", seconds=30)
    assert runs.query("gaps", "BTCUSDT") == [], "the tables of a killed run can be read"

    status, drawn = runs.on_a_terminal("--for", "1s", "--screenshot", str(runs.log.with_suffix(".svg")))
    assert status == 0, drawn
    for part in ("components", "ingestion-binance", "ready", "binance:ETHUSDT", "ended after"):
        assert part in drawn
    assert "binance:ETHUSDT" in runs.log.with_suffix(".svg").read_text()
    assert runs.processes() == []


@pytest.mark.timeout(600)
def test_a_terminal_signal_while_it_starts(runs: Runs) -> None:
    runs.start()
    wait_for(lambda: any(c["process"] for c in runs.components().values()), "the first process is there", seconds=60)
    assert runs.end(signal.SIGTERM) == 0
    assert runs.processes() == []


@pytest.mark.timeout(600)
def test_a_capture_that_cannot_be_replayed(runs: Runs, tmp_path: Path) -> None:
    truncated = tmp_path / "truncated.gz"
    whole = gzip.compress(b'1723161254000000000 {"stream":"btcusdt@trade","data":{}}\n' * 1_000)
    truncated.write_bytes(whole[: len(whole) // 2])
    said = runs.refused("--replay", str(truncated))
    assert said.startswith(f"error: simulator cannot run: {truncated}")
    assert runs.processes() == []


@pytest.mark.timeout(600)
def test_a_replay_without_a_symbol_of_the_pipeline(runs: Runs, capture: Callable[[str], Path]) -> None:
    said = runs.refused("--replay", str(capture("binance_btcusdt_20240808.gz")))
    assert "spec.symbols: ['binance:ETHUSDT']: must be in the captures, which hold BTCUSDT" in said
    assert runs.processes() == []


class Told:
    """A view that remembers. On a full disk nothing can be said of a component either, if it goes there."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.states: list[tuple[str, State]] = []
        self.failure: MarketPipelineError | None = None

    @asynccontextmanager
    async def shown(self, processes: Mapping[str, ManagedProcess]) -> AsyncIterator[None]:
        yield

    def changed(self, managed: ManagedProcess) -> None:
        self.states.append((managed.name, managed.state))
        raise OSError("No space left on device")

    def follow(self, symbols: Sequence[str]) -> None:
        return

    def say(self, text: str) -> None:
        self.said.append(text)

    def waiting_for(self, text: str) -> None:
        self.said.append(text)

    async def settled(self) -> None:
        return

    def ended(self, failure: MarketPipelineError | None) -> None:
        self.failure = failure


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    """A state folder whose disk is full once its logs are there."""
    folder = StateFolder.open(tmp_path / "state", "toys", "simulated")
    folder.write_live({"phase": "running"})
    (folder.path / ".state.json.new").symlink_to("/dev/full")
    yield folder
    folder.close()


def toy_run(
    state: StateFolder, view: Told, monkeypatch: pytest.MonkeyPatch, *toys: Toy, seconds: float | None = 0.1
) -> Run:
    monkeypatch.setattr(module, "steps_of", lambda *_: [])
    stack: Any = SimpleNamespace(
        components=toys, stop_stages=[[toy.name] for toy in toys], scheduled=[], sinks=[], stream_job=None
    )
    spec = SimpleNamespace(symbols=[], windows=[], selectors=[], named=[])
    pipeline: Any = SimpleNamespace(name="toys", spec=spec)
    plan: Any = SimpleNamespace(symbols=())
    return Run(pipeline, plan, stack, RunOptions(seconds=seconds), state, view, lambda *_: stack, 60.0)


async def test_a_full_disk_neither_ends_a_run_nor_its_order(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = Told()
    run = toy_run(state, view, monkeypatch, *(Toy(name=name, runs=python(SLEEP)) for name in ("sink", "broker")))
    assert await run.run() == 0
    last = [(name, state) for name, state in view.states if state in (State.STOPPING, State.STOPPED)]
    assert last == [
        ("sink", State.STOPPING), ("sink", State.STOPPED), ("broker", State.STOPPING), ("broker", State.STOPPED),
    ]  # fmt: skip
    notes = [text for text in view.said if "state.json" in text]
    assert notes == [f"{state.path}/state.json cannot be written: No space left on device; it goes on without"]
    assert state.read_live() == {"phase": "running"}


async def test_on_a_full_disk_a_failure_is_still_told_and_the_reaper_dismissed(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = Told()
    says = "import sys; print('error: no such symbol'); sys.exit(2)"
    run = toy_run(state, view, monkeypatch, Toy(name="exchange", runs=python(says), ready=state.path / "never"))
    with pytest.raises(Failure, match="exchange cannot run: no such symbol"):
        await run.run()
    assert isinstance(view.failure, Failure)
    assert not psutil.pid_exists(run._reaper.pid)


async def test_told_twice_it_stops_at_once_whatever_it_is_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second signal comes while the view takes its last look, which a broker that hangs holds up."""

    class Slow(Told):
        async def settled(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    state = StateFolder.open(tmp_path / "state", "toys", "simulated")
    view = Slow()
    run = toy_run(state, view, monkeypatch, Toy(name="broker", runs=python(SLEEP)), seconds=None)
    asyncio.get_running_loop().call_later(1.0, os.kill, os.getpid(), signal.SIGINT)
    try:
        async with asyncio.timeout(20):
            assert await run.run() == 130
    finally:
        state.close()
    assert view.said[-2:] == ["stopping (again to stop at once)", "stopping at once"]


async def test_what_the_last_look_fails_at_is_told_and_all_is_stopped_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Told):
        async def settled(self) -> None:
            raise InvalidInput("run", [Problem("--screenshot", "x", "must be a file that can be written")])

    state = StateFolder.open(tmp_path / "state", "toys", "simulated")
    view = Broken()
    run = toy_run(state, view, monkeypatch, Toy(name="broker", runs=python(SLEEP)))
    try:
        with pytest.raises(InvalidInput, match="--screenshot"):
            await run.run()
    finally:
        state.close()
    assert view.states[-1] == ("broker", State.STOPPED)


async def test_what_a_component_goes_on_from_is_said_once(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    view = Told()
    new = Toy(name="new", runs=python(SLEEP), details={"state": {"origin": "new", "reason": "starts"}})
    unfit = Toy(name="job", runs=python(SLEEP), details={"state": {"origin": "unfit", "reason": "starts without: why"}})
    assert await toy_run(state, view, monkeypatch, new, unfit).run() == 0
    assert [text for text in view.said if "starts" in text] == ["job starts without: why"]


async def test_who_is_followed_is_told_once_the_broker_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broker: RunningBroker
) -> None:
    """At the next question, though nothing has changed by then; and why not is said once."""
    manifest = (
        "apiVersion: marketpipeline.dev/v1alpha1\nkind: MarketPipeline\n"
        f"metadata: {{name: {broker.prefix()}}}\nspec: {{symbols: ['binance:top-2-USDT']}}"
    )
    pipeline = load_text(manifest, "toys.yaml")
    symbols = ("binance:BTCUSDT", "binance:ETHUSDT")
    planned, view = plan(pipeline, symbols), Told()
    topic = planned.topic(TopicKind.EVENTS)
    assert topic is not None
    there, away = (KafkaSettings(bootstrap_servers=to) for to in (broker.address, f"127.0.0.1:{free_port()}"))
    topic_admin.ensure_topics(there, [topic])
    state = StateFolder.open(tmp_path / "state", pipeline.name, "simulated")
    try:
        async with serving(more_symbols=30, scenarios=["calm"]) as exchange:
            stack: Any = SimpleNamespace(rest_urls={"binance": exchange.url}, kafka=away, components=[])
            options = RunOptions(seconds=None)
            run = Run(pipeline, planned, stack, options, state, view, lambda *_: stack, 60.0)
            supervisor: Any = None
            with monkeypatch.context() as patched:
                patched.setattr(topic_admin, "_TIMEOUT", 1.0)
                await run._selecting.keep(symbols, planned, stack, pipeline.spec.named)
                await run._select(supervisor)
            assert [text.partition(":")[0] for text in view.said] == [
                "the events topic is not told yet which symbols are followed"
            ]
            stack.kafka = there
            for _ in range(2):
                await run._select(supervisor)
    finally:
        state.close()
    told = everything_in(topic.name, broker.address)
    assert sorted((event.kind, event.symbol) for event in told) == [("followed", symbol) for symbol in symbols]
