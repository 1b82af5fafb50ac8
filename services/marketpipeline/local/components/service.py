"""A program of this project: every one serves `/health`, which says whether it does its work."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from marketpipeline.errors import RetryableError
from marketpipeline.local.component import Command, NotReady
from marketpipeline.local.http import get_json
from marketpipeline.local.ports import HOST

__all__ = ["Service"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One process that takes a settings file and serves `/health` on `port`.

    `arguments` is its whole command line. `stop_seconds` is what the plan allows it for draining.
    """

    name: str
    arguments: Sequence[str]
    port: int
    after: Sequence[str] = ()
    environment: Mapping[str, str] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 25.0
    ready_seconds: float = 300.0

    @property
    def url(self) -> str:
        """Base of its HTTP paths."""
        return f"http://{HOST}:{self.port}"

    @property
    def address(self) -> str:
        """The same."""
        return self.url

    def prepare(self) -> Sequence[Command]:
        """Nothing: its settings file is written with the plan."""
        return ()

    def command(self) -> Command:
        """The process."""
        return Command(self.arguments, environment=self.environment or {})

    def check(self) -> Mapping[str, object]:
        """Ready when `/health` answers 200; gives what it says."""
        try:
            status, details = get_json(f"{self.url}/health")
        except RetryableError as error:
            raise NotReady("no answer on its port yet") from error
        if status != HTTPStatus.OK:
            said = {key: value for key, value in details.items() if key != "status"}
            raise NotReady(f"{details.get('status', status)}: {said}" if said else str(details.get("status", status)))
        return details

    def check_synced(self) -> None:
        """Raises NotReady until it has caught up, so that one that does the same can go."""
        try:
            status, details = get_json(f"{self.url}/health/synced")
        except RetryableError as error:
            raise NotReady("no answer on its port yet") from error
        if status != HTTPStatus.OK:
            raise NotReady(f"not in sync: {details.get('doing', '')}, {details.get('pending', '?')} to be fetched")

    def alive(self) -> bool:
        """Whether `/health/live` answers 200."""
        try:
            return get_json(f"{self.url}/health/live")[0] == HTTPStatus.OK
        except RetryableError:
            return False
