"""What the runner tells a view, and what both views start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from marketpipeline.errors import MarketPipelineError
from marketpipeline.local.managed_process import ManagedProcess

__all__ = ["MOST_SYMBOLS", "Heading", "View"]

MOST_SYMBOLS = 12


@dataclass(frozen=True, slots=True)
class Heading:
    """What stays the same over a run. `api` and `dashboard` are base URLs, None where there is none of them."""

    pipeline: str
    symbols: tuple[str, ...]
    source: str
    state: Path
    api: str | None
    dashboard: str | None = None

    @property
    def shown(self) -> tuple[str, ...]:
        """The symbols whose market is shown: the first ones where there are many."""
        return self.symbols[:MOST_SYMBOLS]


class View(Protocol):
    """Told of everything on the event loop; must be quick."""

    def shown(self, processes: Mapping[str, ManagedProcess]) -> AbstractAsyncContextManager[None]:
        """Show until the block ends."""

    def changed(self, managed: ManagedProcess) -> None:
        """A component has gone to another state."""

    def follow(self, symbols: Sequence[str]) -> None:
        """The pipeline has other symbols now."""

    def say(self, text: str) -> None:
        """Something happened in the run as a whole."""

    def waiting_for(self, text: str) -> None:
        """What is waited for, while a replay is drained; comes often."""

    async def settled(self) -> None:
        """The run is about to stop its components: look once more."""

    def ended(self, failure: MarketPipelineError | None) -> None:
        """Everything has stopped."""
