"""What the operator keeps of a pipeline between two passes; all of it can be found out again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from marketpipeline.plan import Plan
from marketpipeline.spec import MarketPipeline

from marketpipeline_operator.builders import Context, Process, build, processes
from marketpipeline_operator.flink.lifecycle import JobTasks
from marketpipeline_operator.last import Last
from marketpipeline_operator.names import Object
from marketpipeline_operator.observe.background import BackgroundTask
from marketpipeline_operator.observe.scaling import Autoscaler, Scaled
from marketpipeline_operator.observe.secrets import SecretsSeen
from marketpipeline_operator.observe.selection import SelectionTasks
from marketpipeline_operator.observe.topics import TopicTasks
from marketpipeline_operator.packed import pack, unpack
from marketpipeline_operator.reconcile.diff import Matched
from marketpipeline_operator.reconcile.hibernation import Hibernation
from marketpipeline_operator.settings import ReconcileSettings

__all__ = ["WorkingState"]


@dataclass
class WorkingState:
    """The background tasks of one pipeline, and what was derived from its newest version."""

    secrets: BackgroundTask[SecretsSeen]
    topics: TopicTasks
    job: JobTasks
    selection: SelectionTasks
    loaded: Last[MarketPipeline] = field(default_factory=Last)
    """Of the last generation the resource as read. Reading and planning is half of a pass."""
    asleep: Last[MarketPipeline] = field(default_factory=Last)
    """Of that and of its hibernation: the resource as it shall be now."""
    hibernation: Hibernation = field(default_factory=Hibernation)
    """And whether it is asleep in this pass."""
    planned: Last[Plan] = field(default_factory=Last)
    """Of that and of what its selectors stood for: the plan."""
    scaled_plan: Last[tuple[MarketPipeline, Plan]] = field(default_factory=Last)
    """Of these and of the numbers of processes: both with them."""
    running: Last[list[Process]] = field(default_factory=Last)
    """The processes of a plan."""
    built: Last[bytes] = field(default_factory=Last)
    """The children that a context was built into, packed."""
    scalers: dict[str, Autoscaler] = field(default_factory=dict)
    """Of each part that is scaled what was measured of late."""
    scaled: dict[str, Scaled] = field(default_factory=dict)
    """And what was decided of it in this pass."""
    matched: Matched = field(default_factory=dict)
    """Children that were found to be as wanted: they are compared again only when either side has changed."""

    def build(self, context: Context) -> list[Object]:
        """`builders.build`, or what it gave for the same context the last time."""
        found: list[Object] = unpack(self.built.of(context, make=lambda: pack(build(context))))
        return found

    def processes(self, context: Context) -> list[Process]:
        """`builders.processes`, likewise."""
        return self.running.of(context.plan, make=lambda: processes(context))

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
