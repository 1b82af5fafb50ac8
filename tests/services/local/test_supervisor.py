"""Components start in order, are restarted when they die, and stop in the order that is asked for."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.local import managed_process as managed_module
from marketpipeline.local import supervisor as module
from marketpipeline.local.component import Command
from marketpipeline.local.managed_process import Failure, ManagedProcess, State
from marketpipeline.local.reaper import Reaper
from marketpipeline.local.supervisor import Step, Supervisor

from tests.services.local.toys import SLEEP, Toy, python


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same waits, shorter."""
    monkeypatch.setattr(module, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.1)


class History:
    """What the supervisor told of its processes, in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, State]] = []

    def __call__(self, managed: ManagedProcess) -> None:
        self.seen.append((managed.name, managed.state))

    def order(self, state: State) -> list[str]:
        return [name for name, seen in self.seen if seen is state]


@asynccontextmanager
async def supervised(
    folder: Path, components: Sequence[Toy], steps: Sequence[Step] = (), history: History | None = None
) -> AsyncIterator[Supervisor]:
    reaper = Reaper(f"mark-of-{folder.name}")
    found = Supervisor(components, steps, reaper, lambda name: folder / f"{name}.log", history or History())
    found.start()
    try:
        yield found
    finally:
        await found.kill()
        reaper.dismiss()


async def until(condition: Callable[[], object], what: str, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.01)


async def nothing(stage: Sequence[str]) -> None:
    return


async def test_start_follows_readiness_and_stop_follows_the_stages(tmp_path: Path) -> None:
    history, ready = History(), tmp_path / "ready"
    made: list[str] = []
    toys = [
        Toy(name="reader", runs=python(SLEEP), after=["topics"]),
        Toy(name="broker", runs=python(SLEEP), ready=ready),
    ]
    async with supervised(
        tmp_path, toys, [Step("topics", ["broker"], lambda: made.append("topics"))], history
    ) as found:
        await until(lambda: found.processes["broker"].process, "the broker runs")
        await asyncio.sleep(0.2)
        assert not made
        assert found.processes["reader"].state is State.WAITING
        assert found.processes["broker"].note == "ready is absent"
        ready.touch()
        await found.ready()
        assert made == ["topics"]
        assert history.order(State.READY) == ["broker", "reader"]
        pids = [managed.pid for managed in found.processes.values()]
        stages: list[Sequence[str]] = []

        async def before(stage: Sequence[str]) -> None:
            stages.append(stage)

        await found.stop([["reader"], ["broker"]], before)
        assert stages == [["reader"], ["broker"]]
        assert history.order(State.STOPPED) == ["reader", "broker"]
        assert not any(pid is not None and psutil.pid_exists(pid) for pid in pids)


async def test_what_is_killed_starts_again_and_its_children_are_gone_first(tmp_path: Path) -> None:
    family = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    async with supervised(tmp_path, [Toy(name="job", runs=python(family))]) as found:
        await found.ready()
        managed, log = found.processes["job"], tmp_path / "job.log"
        await until(lambda: log.read_text().split(), "the child runs")
        first, child = managed.pid, int(log.read_text())
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: managed.restarts == 1 and managed.pid not in (None, first), "it runs again")
        assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
        assert managed.state is State.READY


async def test_what_never_becomes_ready_fails_for_good_with_its_last_words(tmp_path: Path) -> None:
    toy = Toy(name="sink", runs=python("import sys; sys.exit('no such table')"), ready=tmp_path / "never")
    async with supervised(tmp_path, [toy]) as found:
        with pytest.raises(
            Failure, match=r"(?s)sink failed 5 times in a row, at last it ended with status 1.*no such table"
        ):
            await found.ready()
        assert found.processes["sink"].state is State.FAILED
        assert found.processes["sink"].restarts == 4


async def test_wrong_input_is_not_tried_again(tmp_path: Path) -> None:
    says = "import sys; print('{\"level\": \"INFO\"}'); print('error: a.gz:\\n  line 3: no'); sys.exit(2)"
    toy = Toy(name="exchange", runs=python(says), ready=tmp_path / "never")
    async with supervised(tmp_path, [toy]) as found:
        with pytest.raises(Failure) as caught:
            await found.ready()
        assert caught.value.invalid_input
        assert str(caught.value) == "exchange cannot run: a.gz:\n  line 3: no"
        assert found.processes["exchange"].restarts == 0


async def test_a_program_that_is_absent_fails_for_good(tmp_path: Path) -> None:
    async with supervised(
        tmp_path, [Toy(name="job", runs=Command(("/nowhere/java",)), ready=tmp_path / "never")]
    ) as found:
        with pytest.raises(Failure, match=r"(?s)job failed 5 times.*/nowhere/java"):
            await found.ready()


async def test_a_preparation_that_fails_is_repeated(tmp_path: Path) -> None:
    once = f"test -e {tmp_path}/second || {{ touch {tmp_path}/second; exit 3; }}"
    toy = Toy(name="broker", runs=python(SLEEP), before=[Command(("sh", "-c", once))])
    async with supervised(tmp_path, [toy]) as found:
        await found.ready()
        assert found.processes["broker"].restarts == 1


async def test_what_is_not_ready_in_time_is_ended(tmp_path: Path) -> None:
    toy = Toy(name="api", runs=python(SLEEP), ready=tmp_path / "never", ready_seconds=0.1)
    async with supervised(tmp_path, [toy]) as found:
        with pytest.raises(Failure, match=r"was not ready within 0.1 s: never is absent"):
            await found.ready()


async def test_unready_is_shown_and_hanging_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managed_module, "HANGING_SECONDS", 0.5)
    ready = tmp_path / "ready"
    ready.touch()
    toy = Toy(name="sink", runs=python(SLEEP), ready=ready)
    async with supervised(tmp_path, [toy]) as found:
        await found.ready()
        managed = found.processes["sink"]
        first = managed.pid
        ready.unlink()
        await until(lambda: managed.state is State.UNREADY, "it is shown as not ready")
        await asyncio.sleep(1.5)
        assert managed.pid == first, "one that lives is left to become ready again"
        toy.is_alive = False
        await until(lambda: managed.restarts == 1, "it is ended")
        toy.is_alive = True
        ready.touch()
        await until(lambda: managed.state is State.READY and managed.pid != first, "it runs again")


async def test_a_step_is_repeated_while_that_may_help(tmp_path: Path) -> None:
    tries: list[int] = []

    def away_twice() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise RetryableError("the broker is away")

    async with supervised(tmp_path, [], [Step("topics", [], away_twice)]) as found:
        await found.ready()
        assert len(tries) == 3


@pytest.mark.parametrize(
    ("error", "tries"), [(PermanentError("refused"), 1), (RetryableError("away"), 5), (KeyError("bug"), 1)]
)
async def test_a_step_that_fails_ends_the_run(tmp_path: Path, error: Exception, tries: int) -> None:
    count: list[int] = []

    def fail() -> None:
        count.append(1)
        raise error

    async with supervised(tmp_path, [], [Step("topics", [], fail)]) as found:
        with pytest.raises(Failure, match="topics: "):
            await found.ready()
        assert len(count) == tries


async def test_stop_while_something_still_starts(tmp_path: Path) -> None:
    never = tmp_path / "never"
    toys = [
        Toy(name="broker", runs=python(SLEEP), ready=never),
        Toy(name="sink", runs=python(SLEEP), after=["broker"]),
        Toy(name="database", runs=python(SLEEP), before=[Command(("sleep", "600"))]),
    ]
    async with supervised(tmp_path, toys) as found:
        await until(lambda: found.processes["broker"].process, "the broker runs")
        async with asyncio.timeout(10):
            await found.stop([["sink"], ["broker", "database"]], nothing)
        assert {managed.state for managed in found.processes.values()} == {State.STOPPED}


async def test_what_does_not_listen_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    toy = Toy(name="job", runs=python(deaf), stop_seconds=0.3)
    async with supervised(tmp_path, [toy]) as found:
        await found.ready()
        await until(lambda: "deaf" in (tmp_path / "job.log").read_text(), "it ignores SIGTERM")
        pid = found.processes["job"].pid
        await found.stop([["job"]], nothing)
        assert pid is not None
        assert not psutil.pid_exists(pid)


async def test_the_wait_between_restarts_grows_to_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    real_sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        waits.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    toy = Toy(name="x", runs=python("import sys; sys.exit(1)"), ready=tmp_path / "never")
    async with supervised(tmp_path, [toy]) as found:
        with pytest.raises(Failure):
            await found.ready()
    assert waits == [0.02, 0.04, 0.08, 0.1]


async def test_a_process_gets_its_environment_and_the_mark(tmp_path: Path) -> None:
    command = Command(("sleep", "600"), environment={"JAVA_HOME": "/opt/java"})
    async with supervised(tmp_path, [Toy(name="job", runs=command)]) as found:
        await found.ready()
        pid = found.processes["job"].pid
        assert pid is not None
        process = psutil.Process(pid)
        await until(lambda: process.name() == "sleep", "it runs")
        environment = process.environ()
        assert environment["JAVA_HOME"] == "/opt/java"
        assert environment["PIPELINE_RUN_MARK"] == f"mark-of-{tmp_path.name}"
        assert os.getpgid(pid) == pid


async def test_what_was_ready_meanwhile_has_not_failed_in_a_row(tmp_path: Path) -> None:
    ready, broken = tmp_path / "ready", tmp_path / "broken"
    ready.touch()
    program = f"import os, sys, time\nif os.path.exists({str(broken)!r}): sys.exit(1)\ntime.sleep(600)\n"
    async with supervised(tmp_path, [Toy(name="sink", runs=python(program), ready=ready)]) as found:
        await found.ready()
        managed = found.processes["sink"]
        for number in range(1, 5):
            await _kill(managed, number)
        broken.touch()
        ready.unlink()
        assert managed.pid is not None
        os.kill(managed.pid, signal.SIGKILL)
        async with asyncio.timeout(15):
            failure = await found.failed
        assert str(failure).startswith("sink failed 5 times in a row, at last it ended with status 1")
        assert managed.restarts == 9


async def test_the_wait_keeps_its_bound_after_any_number_of_quick_ends(tmp_path: Path) -> None:
    async with supervised(tmp_path, [Toy(name="sink", runs=python(SLEEP))]) as found:
        await found.ready()
        managed = found.processes["sink"]
        managed.backoff.attempt = 3_000
        await _kill(managed, 1)
        assert not found.failed.done()


async def test_a_process_whose_watching_fails_is_ended(tmp_path: Path) -> None:
    broken = tmp_path / "broken"

    class Odd(Toy):
        def check(self) -> Mapping[str, object]:
            if broken.exists():
                raise KeyError("bug")
            return {}

    async with supervised(tmp_path, [Odd(name="sink", runs=python(SLEEP))]) as found:
        await found.ready()
        pid = found.processes["sink"].pid
        broken.touch()
        async with asyncio.timeout(15):
            assert str(await found.failed) == "sink: KeyError: 'bug'"
        assert pid is not None
        assert not psutil.pid_exists(pid)


async def _kill(managed: ManagedProcess, restarts: int) -> None:
    """Kill a process that is ready, and wait until the next one is."""
    pid = managed.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: managed.restarts == restarts and managed.pid not in (None, pid), "it runs again")


async def test_a_successor_takes_over_when_it_is_in_sync_and_is_watched_from_then_on(tmp_path: Path) -> None:
    synced = tmp_path / "synced"
    async with supervised(tmp_path, [Toy(name="feed", runs=python(SLEEP))]) as found:
        await found.ready()
        last = found.processes["feed"]
        handing_over = asyncio.create_task(found.hand_over(Toy(name="feed", runs=python(SLEEP), synced=synced)))
        await asyncio.sleep(0.5)
        assert found.processes["feed"] is last
        assert last.pid is not None
        synced.touch()
        await handing_over
        successor = found.processes["feed"]
        assert (last.state, last.process) == (State.STOPPED, None)
        assert successor.pid is not None
        os.kill(successor.pid, signal.SIGKILL)
        await until(lambda: successor.restarts == 1 and successor.state is State.READY, "it is started again")
        await found.stop([["feed"]], nothing)
        assert successor.state is State.STOPPED


@pytest.mark.parametrize(
    ("successor", "said"),
    [
        (Toy(name="feed", runs=python("raise SystemExit(2)"), synced=Path("/nowhere")), "cannot run"),
        (Toy(name="feed", runs=python("raise SystemExit(1)"), synced=Path("/nowhere")), "the next one ended"),
        (Toy(name="feed", runs=python(SLEEP), synced=Path("/nowhere"), ready_seconds=0.3), "nowhere is absent"),
    ],
    ids=["refuses its settings", "ends", "is never in sync"],
)
async def test_where_the_successor_does_not_come_the_last_one_runs_on(
    tmp_path: Path, successor: Toy, said: str
) -> None:
    async with supervised(tmp_path, [Toy(name="feed", runs=python(SLEEP))]) as found:
        await found.ready()
        last = found.processes["feed"]
        with pytest.raises(Failure, match=said):
            await found.hand_over(successor)
        assert found.processes["feed"] is last
        assert last.pid is not None
        assert not found.failed.done()
        await asyncio.sleep(0.1)
        assert last.state is State.READY


async def test_one_more_and_one_less(tmp_path: Path) -> None:
    async with supervised(tmp_path, [Toy(name="first", runs=python(SLEEP))]) as found:
        await found.ready()
        await found.add(Toy(name="second", runs=python(SLEEP), after=["first"]))
        second = found.processes["second"]
        assert second.pid is not None
        await found.restart(Toy(name="second", runs=python(SLEEP)))
        assert (second.state, second.process) == (State.STOPPED, None)
        await found.remove("first")
        assert set(found.processes) == {"second"}
        await found.stop([["first"], ["second"]], nothing)
