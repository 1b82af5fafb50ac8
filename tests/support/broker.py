"""The real broker for tests: Kafka's own, started from the local platform's component, one a test session.

A suite takes the fixture into its `conftest.py`: `from tests.support.broker import broker  # noqa: F401`.
It imports no Kafka client, so it serves both environments.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from marketpipeline.local.components.broker import Broker

from tests.conftest import JARS, free_port, require
from tests.support.server import RunningServer

__all__ = ["RunningBroker", "broker"]


class RunningBroker(RunningServer):
    """A broker process. It serves when its log says so, which takes no client."""

    START_SECONDS = 90.0

    def __init__(self, java: str, jars: Path, folder: Path) -> None:
        self._component: Broker
        component = Broker(
            java=java, jars=jars, folder=folder, port=free_port(), controller_port=free_port(), heap_mb=256
        )
        super().__init__(component, folder.with_suffix(".log"))
        self._known = 0

    @property
    def address(self) -> str:
        """host:port, for `bootstrap.servers`."""
        return self._component.address

    def prefix(self) -> str:
        """A topic prefix that no other test of the session has."""
        return f"test-{uuid.uuid4().hex[:12]}"

    def start(self) -> None:
        """Start it and wait until it serves."""
        self._known = self._started()
        super().start()

    def serves(self) -> bool:
        """Whether the log tells of one start more than before."""
        return self._started() > self._known

    def _started(self) -> int:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return text.count("Kafka Server started")


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
