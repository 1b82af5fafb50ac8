"""The real PostgreSQL for tests, one server a session, a new database for each test that asks.

A suite takes the fixtures into its `conftest.py`:
`from tests.support.postgres import database, postgres  # noqa: F401`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from marketpipeline.local.components.postgres import Postgres
from psycopg.sql import SQL, Identifier

from tests.conftest import free_port
from tests.support.server import RunningServer

__all__ = ["PASSWORD", "RunningPostgres", "database", "postgres"]

PASSWORD = "for-tests-only"


class RunningPostgres(RunningServer):
    """A PostgreSQL server with a user `marketpipeline`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        super().__init__(Postgres(folder=folder, port=self.port, password=PASSWORD), folder.with_suffix(".log"))

    def url(self, database: str = "marketpipeline", *, password: bool = False) -> str:
        """The address of a database."""
        secret = f":{PASSWORD}" if password else ""
        return f"postgresql://marketpipeline{secret}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """A new, empty database; returns its name."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.url(password=True), autocommit=True) as connection:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        return name


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPostgres]:
    """A running server. A test that kills it starts it again before it ends."""
    folder = tmp_path_factory.mktemp("postgres")
    for parent in (folder, *folder.parents):
        if parent.name.startswith("pytest-") or parent == folder:
            parent.chmod(parent.stat().st_mode | 0o011)
    running = RunningPostgres(folder / "server")
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def database(postgres: RunningPostgres) -> str:
    """The name of a new, empty database."""
    return postgres.create_database()
