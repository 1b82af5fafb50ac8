"""What the operator keeps of a pipeline between two passes; all of it can be found out again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from marketpipeline.plan import Plan, plan
from marketpipeline.spec import MarketPipeline

from marketpipeline_operator.builders import Context, build
from marketpipeline_operator.flink.lifecycle import JobTasks
from marketpipeline_operator.names import Object
from marketpipeline_operator.observe.background import BackgroundTask
from marketpipeline_operator.observe.scaling import Autoscaler, Scaled
from marketpipeline_operator.observe.secrets import SecretsSeen
from marketpipeline_operator.observe.selection import SelectionTasks
from marketpipeline_operator.observe.topics import TopicTasks
from marketpipeline_operator.reconcile.children import Matched
from marketpipeline_operator.settings import ReconcileSettings

__all__ = ["WorkingState"]


@dataclass
class WorkingState:
    """The background tasks of one pipeline, and what was derived from its newest version."""

    secrets: BackgroundTask[SecretsSeen]
    topics: TopicTasks
    job: JobTasks
    selection: SelectionTasks
    loaded: tuple[str, MarketPipeline] | None = None
    """Of the last generation: which it was, the resource as read. Reading and planning is half of a pass."""
    planned: tuple[tuple[str, Sequence[str]], Plan] | None = None
    """Of that and of what its selectors stood for: the plan."""
    built: tuple[Context, list[Object]] | None = None
    """The children that a context was built into."""
    scalers: dict[str, Autoscaler] = field(default_factory=dict)
    """Of each part that is scaled what was measured of late."""
    scaled: dict[str, Scaled] = field(default_factory=dict)
    """And what was decided of it in this pass."""
    matched: Matched = field(default_factory=dict)
    """Children that were found to be as wanted: they are compared again only when either side has changed."""

    def build(self, context: Context) -> list[Object]:
        """`builders.build`, or what it gave for the same context the last time."""
        if self.built is None or self.built[0] != context:
            self.built = (context, build(context))
        return self.built[1]

    def plan(self, mark: str, pipeline: MarketPipeline, selected: Sequence[str]) -> Plan:
        """`plan`, or what it gave for the same the last time."""
        if self.planned is None or self.planned[0] != (mark, selected):
            self.planned = ((mark, selected), plan(pipeline, selected))
        return self.planned[1]

    @classmethod
    def of(cls, wake: Callable[[], None], settings: ReconcileSettings) -> WorkingState:
        """With background tasks that call `wake` when there is news."""

        def task(name: str) -> BackgroundTask[Any]:
            return BackgroundTask(name, wake, initial=settings.backoff_initial, longest=settings.backoff_max)

        return cls(task("secrets"), TopicTasks.of(task), JobTasks.of(task), SelectionTasks(task))

    def close(self) -> None:
        """Stop what is under way."""
        for tasks in (self.secrets, self.topics, self.job, self.selection):
            tasks.close()
