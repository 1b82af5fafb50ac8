"""The folder of one machine: in the state folder, with a process that shows it on a port of the loopback."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketpipeline.local.component import Command, NotReady
from marketpipeline.local.state import StateFolder

__all__ = ["FolderServer", "in_state"]


@dataclass(frozen=True)
class FolderServer:
    """`python -m http.server` over the folder."""

    folder: Path
    port: int
    name: str = "folder"
    after: Sequence[str] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 5.0
    ready_seconds: float = 30.0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"folder": str(self.folder)}

    @property
    def holds_data(self) -> bool:
        return any(self.folder.iterdir())

    def prepare(self) -> Sequence[Command]:
        self.folder.mkdir(parents=True, exist_ok=True)
        return ()

    def command(self) -> Command:
        options = ("--bind", "127.0.0.1", "--directory", str(self.folder), str(self.port))
        return Command((sys.executable, "-m", "http.server", *options))

    def check(self) -> Mapping[str, object]:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError as error:
            raise NotReady(str(error)) from error
        return {}

    def alive(self) -> bool:
        return True


def in_state(state: StateFolder, port: int) -> FolderServer:
    return FolderServer(state.folder("folder"), port)
