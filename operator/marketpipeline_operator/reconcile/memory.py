"""What the operator remembers of a pipeline between two passes; all of it can be found out again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from marketpipeline.plan import Plan
from marketpipeline.spec import MarketPipeline

from marketpipeline_operator.broker.admin import TopicsReport
from marketpipeline_operator.builders import Context, build
from marketpipeline_operator.flink.rest import JobView
from marketpipeline_operator.names import Object
from marketpipeline_operator.reconcile.children import Matched
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
    thresholds: Errand[str]
    job: Errand[JobView | None]
    stop: Errand[Stopped]
    removal: Errand[bool]
    planned: tuple[str, MarketPipeline, Plan] | None = None
    """Of the last generation: which it was, the resource as read, its plan. Reading and planning is half of a pass."""
    built: tuple[Context, list[Object]] | None = None
    """The children that a context was built into."""
    matched: Matched = field(default_factory=dict)
    """Children that were found to be as wanted, so that they are compared anew only when either has changed."""

    def build(self, context: Context) -> list[Object]:
        """`builders.build`, or what it gave for the same context the last time."""
        if self.built is None or self.built[0] != context:
            self.built = (context, build(context))
        return self.built[1]

    @classmethod
    def of(cls, wake: Callable[[], None], settings: ReconcileSettings) -> Memory:
        """Errands that call `wake` when there is news."""

        def errand(name: str) -> Errand[object]:
            return Errand(name, wake, initial=settings.backoff_initial, longest=settings.backoff_max)

        names = ("secrets", "topics", "thresholds", "job", "stop", "removal")
        return cls(**{name: errand(name) for name in names})  # type: ignore[arg-type]

    def close(self) -> None:
        """Stop what is under way."""
        for errand in (self.secrets, self.topics, self.thresholds, self.job, self.stop, self.removal):
            errand.close()
