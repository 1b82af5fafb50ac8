"""ClickHouse: its engine from the `chdb-core` wheel, behind the HTTP interface of `local.servers`."""

from __future__ import annotations

import json
import signal
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketpipeline.local.component import Command, NotReady
from marketpipeline.local.ports import HOST
from marketpipeline.local.state import StateFolder

__all__ = ["ClickHouse", "in_state"]

_NAME = "marketpipeline"
"""Of the user and of the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickHouse:
    """One process with one database, on the loopback, with a password; `folder` holds the data."""

    folder: Path
    port: int
    password: str
    name: str = "clickhouse"
    after: Sequence[str] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 30.0
    ready_seconds: float = 60.0

    @property
    def url(self) -> str:
        """The database's address, without the password."""
        return f"http://{_NAME}@{HOST}:{self.port}/{_NAME}"

    @property
    def address(self) -> str:
        """The same."""
        return self.url

    @property
    def settings(self) -> Mapping[str, Any]:
        """Address and password; there is no cluster on one machine."""
        return {"url": self.url, "password": self.password, "cluster": None}

    @property
    def holds_data(self) -> bool:
        """Whether a run has begun to write."""
        return (self.folder / "data").exists()

    def prepare(self) -> Sequence[Command]:
        """Write the settings, which hold the password."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for unfinished in self.folder.glob("*.insert"):
            unfinished.unlink()
        settings = self.folder / "settings.json"
        settings.touch(mode=0o600)
        known = {"folder": str((self.folder / "data").absolute()), "port": self.port, "password": self.password}
        settings.write_text(json.dumps(known), encoding="utf-8")
        return ()

    def command(self) -> Command:
        """The process."""
        program = (sys.executable, "-P", "-m", "marketpipeline.local.servers.clickhouse", "settings.json")
        return Command(program, environment={"TZ": "UTC"}, directory=self.folder)

    def check(self) -> Mapping[str, object]:
        """Ready when it answers a statement, which it does once its tables are loaded."""
        secret = b64encode(f"{_NAME}:{self.password}".encode()).decode()
        request = urllib.request.Request(
            f"http://{HOST}:{self.port}/?database={_NAME}", b"SELECT 1", {"Authorization": f"Basic {secret}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:
                answer.read()
        except (OSError, urllib.error.HTTPError) as error:
            raise NotReady(str(error)) from error
        return {}

    def alive(self) -> bool:
        """Its process tells: a server that is busy loading is not to be ended."""
        return True


def in_state(state: StateFolder, port: int) -> ClickHouse:
    """The server of a run, with its data and its password in the state folder."""
    return ClickHouse(folder=state.folder("clickhouse"), port=port, password=state.password("clickhouse"))
