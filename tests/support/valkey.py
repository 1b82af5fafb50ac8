"""The real Valkey for tests, one server a session; tests take a key prefix of their own.

A suite takes the fixture into its `conftest.py`: `from tests.support.valkey import valkey  # noqa: F401`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from marketpipeline.local.components.valkey import Valkey

from tests.conftest import free_port
from tests.support.server import RunningServer

__all__ = ["PASSWORD", "RunningValkey", "valkey"]

PASSWORD = "for-tests-only"


class RunningValkey(RunningServer):
    """A Valkey server with a password."""

    def __init__(self, folder: Path) -> None:
        self._component: Valkey
        super().__init__(Valkey(folder=folder, port=free_port(), password=PASSWORD), folder.with_suffix(".log"))

    @property
    def url(self) -> str:
        """Its address, without the password."""
        return self._component.url

    def prefix(self) -> str:
        """A key prefix that no other test of the session has."""
        return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningValkey]:
    """A running server. A test that kills it starts it again before it ends."""
    running = RunningValkey(tmp_path_factory.mktemp("valkey") / "server")
    try:
        running.start()
        yield running
    finally:
        running.stop()
