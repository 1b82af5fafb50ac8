"""What the operator remembers of a pipeline between two passes; all of it can be found out again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from marketpipeline.plan import Plan
from marketpipeline.spec import MarketPipeline

from marketpipeline_operator.broker.admin import TopicsReport
from marketpipeline_operator.flink.rest import JobView
from marketpipeline_operator.reconcile.errand import Errand
from marketpipeline_operator.settings import ReconcileSettings

__all__ = ["Memory", "Stopped"]


@dataclass(frozen=True)
class Stopped:
    """How a stream job ended: where its state is, and if it has none, why."""

    savepoint: str | None
    message: str


@dataclass
class Memory:
    """Errands of one pipeline."""

    secrets: Errand[tuple[str, ...]]
    topics: Errand[TopicsReport]
    rules: Errand[str]
    job: Errand[JobView | None]
    stop: Errand[Stopped]
    removal: Errand[bool]
    planned: tuple[str, MarketPipeline, Plan] | None = None
    """Of the last generation: which it was, the resource as read, its plan. Reading and planning is half of a pass."""

    @classmethod
    def of(cls, wake: Callable[[], None], settings: ReconcileSettings) -> Memory:
        """Errands that call `wake` when there is news."""

        def errand(name: str) -> Errand[object]:
            return Errand(name, wake, initial=settings.backoff_initial, longest=settings.backoff_max)

        names = ("secrets", "topics", "rules", "job", "stop", "removal")
        return cls(**{name: errand(name) for name in names})  # type: ignore[arg-type]

    def close(self) -> None:
        """Stop what is under way."""
        for errand in (self.secrets, self.topics, self.rules, self.job, self.stop, self.removal):
            errand.close()
