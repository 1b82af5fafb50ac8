"""A server of a test session, started from the local platform's description of it; may be killed and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from marketpipeline.local.component import Command, Component, NotReady
from marketpipeline.local.environment import child_environment
from marketpipeline.local.process import privileges

from tests.conftest import wait_for
from tests.support.tied import tied

__all__ = ["RunningServer"]


class RunningServer:
    """One process. Its port and its data stay the same over `kill` and `start`."""

    START_SECONDS = 180.0
    """A database that was killed syncs all of its files first, which takes long where the disk is shared."""

    def __init__(self, component: Component, log: Path) -> None:
        self._component = component
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it serves."""
        for command in self._component.prepare():
            assert self._spawn(command).wait(timeout=60) == 0, self._log.read_text()[-2000:]
        self._process = self._spawn(self._component.command())
        wait_for(self._is_ready, f"{self._component.name} to start, see {self._log}", seconds=self.START_SECONDS)

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it as `kill -9` does; what it had started, as PostgreSQL has, notices that and ends by itself."""
        children: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self._process.pid).children(recursive=True) if self._process else []
        self._end(signal.SIGKILL)
        _, left = psutil.wait_procs(children, timeout=30)
        assert not left, f"{self._component.name} is killed, and still there is {left}"

    def stop(self) -> None:
        """End it as its platform does."""
        self._end(self._component.stop_signal)

    def pause(self) -> None:
        """Let it hang: it keeps its connections and answers nothing."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    def serves(self) -> bool:
        """Whether it does its work."""
        try:
            self._component.check()
        except NotReady:
            return False
        return True

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(
                f"{self._component.name} ended with {self._process.returncode}: {self._log.read_text()[-2000:]}"
            )
        return self.serves()

    def _spawn(self, command: Command) -> subprocess.Popen[bytes]:
        options = privileges(command.user, command.folders)
        with self._log.open("ab") as log:
            return subprocess.Popen(
                tied(command.arguments, death=command.death_signal, options=options),
                cwd=command.directory,
                env=child_environment(command.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
