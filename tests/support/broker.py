"""The real broker for tests: Kafka's own, started from the local platform's component, one a test session.

A suite takes the fixture into its `conftest.py`: `from tests.support.broker import broker  # noqa: F401`.
It imports no Kafka client, so it serves both environments.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from marketpipeline.local.component import Command
from marketpipeline.local.components.broker import Broker

from tests.conftest import JARS, free_port, require, wait_for

__all__ = ["RunningBroker", "broker"]


class RunningBroker:
    """A broker process. Its port and its data stay the same over `kill` and `start`."""

    def __init__(self, java: str, jars: Path, folder: Path) -> None:
        self._component = Broker(
            java=java, jars=jars, folder=folder, port=free_port(), controller_port=free_port(), heap_mb=256
        )
        self._log = folder.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """host:port, for `bootstrap.servers`."""
        return self._component.address

    def prefix(self) -> str:
        """A topic prefix that no other test of the session has."""
        return f"test-{uuid.uuid4().hex[:12]}"

    def start(self) -> None:
        """Start it and wait until it serves."""
        for command in self._component.prepare():
            self._spawn(command).wait(timeout=60)
        known = self._started()
        self._process = self._spawn(self._component.command())
        wait_for(self._has_started(known), f"the broker to start, see {self._log}", seconds=90)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as an operator does."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        os.killpg(process.pid, how)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=10)

    def _spawn(self, command: Command) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command.arguments,
                cwd=command.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _started(self) -> int:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return text.count("Kafka Server started")

    def _has_started(self, known: int) -> Callable[[], bool]:
        def condition() -> bool:
            assert self._process is not None
            if self._process.poll() is not None:
                pytest.fail(f"the broker ended with {self._process.returncode}: {self._log.read_text()[-2000:]}")
            return self._started() > known

        return condition


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """A running broker, with no topics; tests make their own with a prefix of their own."""
    java = shutil.which("java")
    jars = JARS / "kafka"
    require(java, "no Java to run the broker")
    require(jars.is_dir(), "no Kafka jars in .cache/jars/kafka: run `make setup`")
    assert java is not None
    running = RunningBroker(java, jars, tmp_path_factory.mktemp("broker") / "kafka")
    try:
        running.start()
        yield running
    finally:
        running.stop()
