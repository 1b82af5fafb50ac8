"""ClickHouse's real engine for tests, one server a session, a new database for each test that asks.

A suite takes the fixture into its `conftest.py`: `from tests.support.clickhouse import clickhouse  # noqa: F401`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from marketpipeline.local.components.clickhouse import ClickHouse

from tests.conftest import free_port, require
from tests.support.server import RunningServer

__all__ = ["PASSWORD", "RunningClickHouse", "clickhouse"]

PASSWORD = "for-tests-only"


class RunningClickHouse(RunningServer):
    """The engine with a user `marketpipeline`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._component: ClickHouse
        super().__init__(ClickHouse(folder=folder, port=self.port, password=PASSWORD), folder.with_suffix(".log"))

    @property
    def component(self) -> ClickHouse:
        """What the local platform knows of it."""
        return self._component

    def url(self, database: str = "marketpipeline") -> str:
        """The address of a database, without the password."""
        return f"http://marketpipeline@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """A new, empty database; returns its name."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        with self.client() as client:
            client.command(f"CREATE DATABASE {name} ENGINE = Atomic")
        return name

    def client(self, database: str = "marketpipeline", **options: Any) -> Client:
        """The bare client."""
        where = urlsplit(self.url())
        return clickhouse_connect.get_client(
            host=str(where.hostname), port=self.port, username="marketpipeline", password=PASSWORD, database=database,
            autogenerate_session_id=False, **options,
        )  # fmt: skip


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClickHouse]:
    """A running server. A test that kills it starts it again before it ends."""
    require(find_spec("chdb") is not None, "chDB, ClickHouse's engine: make setup-test")
    running = RunningClickHouse(tmp_path_factory.mktemp("clickhouse") / "server")
    try:
        running.start()
        yield running
    finally:
        running.stop()
