"""Components for tests: small real processes that become ready, end or hang when told to."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from marketpipeline.local.component import Command, NotReady

__all__ = ["SLEEP", "Toy", "python"]

SLEEP = "import time; time.sleep(600)"


def python(program: str, *arguments: str) -> Command:
    """A Python process; `-S` starts it fast."""
    return Command((sys.executable, "-S", "-c", program, *arguments))


@dataclass(kw_only=True)
class Toy:
    """Ready while the file `ready` is there, or at once without one, and likewise synced; alive while `is_alive`."""

    name: str
    runs: Command
    after: Sequence[str] = ()
    ready: Path | None = None
    before: Sequence[Command] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 5.0
    ready_seconds: float = 30.0
    is_alive: bool = True
    details: dict[str, object] = field(default_factory=dict)
    synced: Path | None = None

    @property
    def address(self) -> str:
        return f"toy://{self.name}"

    def prepare(self) -> Sequence[Command]:
        return self.before

    def command(self) -> Command:
        return self.runs

    def check(self) -> Mapping[str, object]:
        if self.ready is not None and not self.ready.exists():
            raise NotReady(f"{self.ready.name} is absent")
        return self.details

    def check_synced(self) -> None:
        if self.synced is not None and not self.synced.exists():
            raise NotReady(f"{self.synced.name} is absent")

    def alive(self) -> bool:
        return self.is_alive
