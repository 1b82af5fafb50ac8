"""Snowflake's emulation for tests, one server a session, a new schema for each test that asks.

A suite takes the fixture into its `conftest.py`: `from tests.support.snowflake import snowflake  # noqa: F401`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.local.components.snowflake import FakeSnowflake
from marketpipeline.sink_kinds.snowflake import SnowflakeStoreSettings

from tests.conftest import free_port, require
from tests.support.server import RunningServer

__all__ = ["RunningSnowflake", "snowflake"]


class RunningSnowflake(RunningServer):
    """A server with one user, role, warehouse and database."""

    def __init__(self, folder: Path) -> None:
        self._component: FakeSnowflake
        super().__init__(FakeSnowflake(folder=folder, port=free_port()), folder.with_suffix(".log"))
        self._session: Any = None

    @property
    def component(self) -> FakeSnowflake:
        """What the local platform knows of it."""
        return self._component

    def settings(self, **changes: Any) -> SnowflakeStoreSettings:
        """How a sink gets there; it holds rows until it is told to write them."""
        return SnowflakeStoreSettings(**(dict(self._component.settings) | {"hold_ms": 3_600_000} | changes))

    def session(self) -> Any:
        """The bare connector, logged in; the same until the server is killed."""
        from marketpipeline.sinks.snowflake.connection import connect

        if self._session is None:
            self._session = connect(self.settings(), "test")
        return self._session

    def kill(self) -> None:
        """End it; its sessions with it."""
        self._session = None
        super().kill()

    def schema(self, **changes: Any) -> SnowflakeStoreSettings:
        """The same of a new, empty schema."""
        name = f"TEST_{uuid.uuid4().hex[:12].upper()}"
        self.session().cursor().execute(f"CREATE SCHEMA {name}")
        return self.settings(**({"schema_name": name} | changes))


@pytest.fixture(scope="session")
def snowflake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSnowflake]:
    """A running server. A test that kills it starts it again before it ends."""
    require(find_spec("fakesnow") is not None, "fakesnow, Snowflake's emulation: make setup-test")
    running = RunningSnowflake(tmp_path_factory.mktemp("snowflake") / "server")
    try:
        running.start()
        yield running
    finally:
        running.stop()
