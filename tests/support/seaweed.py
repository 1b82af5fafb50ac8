"""The real SeaweedFS for tests, one server a session; tests take a folder of its bucket of their own.

A suite takes the fixture into its `conftest.py`: `from tests.support.seaweed import seaweed  # noqa: F401`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.local.components.seaweed import SeaweedFs
from marketpipeline.sink_kinds.lake import LakeStoreSettings

from tests.conftest import free_port
from tests.support.postgres import PASSWORD
from tests.support.server import RunningServer

__all__ = ["RunningSeaweed", "seaweed"]


class RunningSeaweed(RunningServer):
    """A server with one user and one bucket."""

    def __init__(self, folder: Path) -> None:
        self._component: SeaweedFs
        super().__init__(SeaweedFs(folder=folder, port=free_port(), secret=PASSWORD), folder.with_suffix(".log"))

    def lake(self, **changes: Any) -> LakeStoreSettings:
        """Settings of a lake that no other test of the session has; it holds rows until it is told to write them."""
        fields = dict(self._component.settings) | {"url": f"s3://lake/{uuid.uuid4().hex[:12]}", "hold_ms": 3_600_000}
        return LakeStoreSettings(**(fields | changes))


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSeaweed]:
    """A running server. A test that kills it starts it again before it ends."""
    running = RunningSeaweed(tmp_path_factory.mktemp("seaweed") / "server")
    try:
        running.start()
        yield running
    finally:
        running.stop()
