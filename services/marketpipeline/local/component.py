"""What the supervisor knows of a component: how to prepare it, how to start it, when it is ready, how to stop it.

A component describes; it starts nothing itself. So the same description serves the supervisor, a query on the state
of a run that has ended, and the tests.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Command", "Component", "NotReady", "StoreServer", "Successor"]


class NotReady(Exception):
    """A component does not do its work yet; the message says what is waited for."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run.

    `environment` is added to the few variables that every process takes over (`environment.py`). `user` is an OS user
    to run as, which must reach `folders`.
    `death_signal` is what it gets when the supervisor is gone.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    user: str | None = None
    folders: Sequence[Path] = ()
    death_signal: signal.Signals = signal.SIGTERM


class Component(Protocol):
    """One process of the machine.

    `after` names the components that have to be ready before this one is started. `stop_signal` asks it to finish,
    `stop_seconds` is how long that may take before it is killed.
    """

    @property
    def name(self) -> str:
        """Unique on the machine; also the name of its log."""

    @property
    def after(self) -> Sequence[str]:
        """Components that must be ready before this one starts."""

    @property
    def address(self) -> str:
        """Where it is reached: a URL without a password, or host:port."""

    @property
    def stop_signal(self) -> signal.Signals:
        """What asks the process to finish."""

    @property
    def stop_seconds(self) -> float:
        """Longest time from `stop_signal` to its end."""

    @property
    def ready_seconds(self) -> float:
        """Longest time from its start until it is ready; beyond that it counts as failed."""

    def prepare(self) -> Sequence[Command]:
        """Write what the process reads, and give the commands to run, in order, before it. Safe to repeat."""

    def command(self) -> Command:
        """The process itself."""

    def check(self) -> Mapping[str, object]:
        """What the component says of itself once it is ready; raises NotReady until then. At most 2 s."""

    def alive(self) -> bool:
        """Asked while `check` raises: False when the process itself hangs and has to be ended. At most 2 s."""


class Successor(Component, Protocol):
    """A component that can take over from another while both run."""

    def check_synced(self) -> None:
        """Raises NotReady until it has caught up, so that the other can go. At most 2 s."""


class StoreServer(Component, Protocol):
    """The server of a store. A kind of sink names a function that makes one from the state folder and a free port."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the settings of this store are on this machine: its address, and the credentials that it wants."""

    @property
    def holds_data(self) -> bool:
        """Whether a run has made it, so that there may be something to read."""
