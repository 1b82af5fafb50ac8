"""Nothing is left behind: not after a supervisor's kill -9, not with grandchildren, not when the reaper dies too."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from marketpipeline.local.components.broker import Broker
from marketpipeline.local.reaper import MARK_VARIABLE, Reaper, sweep

from tests.conftest import JARS, free_port, require, wait_for

SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from marketpipeline.local.component import Command
from marketpipeline.local.reaper import Reaper
from marketpipeline.local.process import Process

async def main():
    reaper = Reaper("mark-of-" + sys.argv[1])
    process = await Process.start(Command(sys.argv[3:]), Path(sys.argv[2]), reaper)
    print(reaper.pid, process.pid, flush=True)
    await process.wait()

asyncio.run(main())
"""

FAMILY = """
import os, signal, subprocess, sys, time
children = [
    subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"]),
    subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True),
    subprocess.Popen([sys.executable, "-S", "-c",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"]),
]
with open(sys.argv[1] + ".new", "w") as out:
    out.write(" ".join(str(pid) for pid in [os.getpid(), *(child.pid for child in children)]))
os.replace(sys.argv[1] + ".new", sys.argv[1])
time.sleep(600)
"""
"""A process with three children: a plain one, one with a session of its own, one that does not listen to SIGTERM."""


class Supervised:
    """A supervisor in a process of its own, with one process under it."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, folder.name, str(folder / "log"), *command],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.reaper, self.child = map(int, self.process.stdout.readline().split())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def family(tmp_path: Path) -> Iterator[tuple[Supervised, list[int]]]:
    pids = tmp_path / "pids"
    supervised = Supervised(tmp_path, sys.executable, "-S", "-c", FAMILY, str(pids))
    wait_for(pids.exists, "the family is there")
    family = [int(pid) for pid in pids.read_text().split()]
    yield supervised, family
    for pid in [*family, supervised.process.pid]:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)
    supervised.process.wait()


def running(pids: list[int]) -> list[int]:
    """Those that live; a zombie that nobody has reaped yet does not."""
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def ignores(pid: int, number: signal.Signals) -> bool:
    """Whether a process ignores a signal, as the kernel has it."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in status if line.startswith("SigIgn"))
    return bool(mask >> (number - 1) & 1)


def test_a_killed_supervisor_leaves_no_process(family: tuple[Supervised, list[int]]) -> None:
    supervised, pids = family
    assert running(pids) == pids
    supervised.kill()
    wait_for(lambda: not running([*pids, supervised.reaper]), "everything has ended", seconds=15)


def test_the_reaper_survives_the_terminals_signals(family: tuple[Supervised, list[int]]) -> None:
    supervised, pids = family
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    wait_for(lambda: all(ignores(supervised.reaper, number) for number in numbers), "the reaper has begun")
    for number in numbers:
        os.kill(supervised.reaper, number)
    supervised.kill()
    wait_for(lambda: not running([*pids, supervised.reaper]), "everything has ended", seconds=15)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_without_a_reaper_the_kernel_tells_the_process_itself(family: tuple[Supervised, list[int]]) -> None:
    require(shutil.which("setpriv"), "no setpriv (util-linux)")
    supervised, pids = family
    os.kill(supervised.reaper, signal.SIGKILL)
    supervised.kill()
    wait_for(lambda: not running(pids[:1]), "the process itself has ended", seconds=15)


def test_a_jvm_below_a_script_ends_too(tmp_path: Path) -> None:
    java = shutil.which("java")
    require(java, "no Java")
    require((JARS / "kafka").is_dir(), "no Kafka jars: run `make setup`")
    assert java is not None
    broker = Broker(
        java=java, jars=JARS / "kafka", folder=tmp_path / "kafka", port=free_port(), controller_port=free_port()
    )
    for step in broker.prepare():
        subprocess.run(step.arguments, check=True, capture_output=True, timeout=60, cwd=step.directory)
    script = 'cd "$0"; "$@" & echo started; wait'
    supervised = Supervised(tmp_path, "sh", "-c", script, str(broker.folder), *broker.command().arguments)
    try:
        children = wait_for(lambda: psutil.Process(supervised.child).children(), "the JVM runs")
        (jvm,) = [child.pid for child in children]
        wait_for(lambda: "java" in Path(f"/proc/{jvm}/cmdline").read_text(), "it is Java")
    finally:
        supervised.kill()
    wait_for(lambda: not running([supervised.child, jvm]), "the JVM has ended", seconds=15)


def test_dismissed_it_goes_and_touches_nothing(tmp_path: Path) -> None:
    reaper = Reaper("mark-of-nothing")
    process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        reaper.add(process.pid)
        reaper.dismiss()
        assert not running([reaper.pid])
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_group_that_was_removed_is_left_alone() -> None:
    reaper = Reaper("mark-of-a-removed-one")
    processes = [
        subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
        for _ in range(2)
    ]
    kept, removed = processes
    try:
        reaper.add(kept.pid)
        reaper.add(removed.pid)
        reaper.remove(removed.pid)
        assert reaper._process.stdin is not None
        reaper._process.stdin.close()
        wait_for(lambda: kept.poll() is not None, "the group that was kept has ended", seconds=15)
        reaper._process.wait(timeout=15)
        assert removed.poll() is None
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_a_sweep_says_when_nothing_is_left() -> None:
    assert sweep(set(), "a-mark-that-nobody-carries", grace=0.1)
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", textwrap.dedent("import time; time.sleep(600)")],
        env={**os.environ, MARK_VARIABLE: "mark-of-a-sweep"},
        start_new_session=True,
    )
    try:
        assert sweep(set(), "mark-of-a-sweep", grace=5.0)
        assert process.wait(timeout=5) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait()
