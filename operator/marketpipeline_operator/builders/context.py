"""What the builders read: the pipeline's plan, who owns the objects, and the operator's settings for them."""

from __future__ import annotations

from dataclasses import dataclass, field

from marketpipeline.plan import Plan
from marketpipeline.spec import MarketPipeline

from marketpipeline_operator.settings import OperatorSettings

__all__ = ["Capabilities", "Context", "JobState"]


@dataclass(frozen=True)
class Capabilities:
    """Which APIs that are not Kubernetes' own the cluster serves."""

    flink: bool = False
    redpanda: bool = False
    strimzi: bool = False
    prometheus: bool = False


@dataclass(frozen=True)
class JobState:
    """What the stream job shall do now: whether it runs, the savepoint that it starts from, and which start it is.

    Another `start` is another Pod of the JobManager, so that the job is restarted though nothing else of it differs.

    `stateless` tells Flink's operator to upgrade without the old state, since it does not fit the new queries.
    """

    running: bool = True
    savepoint: str | None = None
    start: str | None = None
    stateless: bool = False


@dataclass(frozen=True)
class Context:
    """All that the objects of one pipeline are made from; the same context gives the same objects.

    `stopped` names the processes that shall have no replicas, while a pipeline is suspended or about to be.
    `decided` is how the job runs by now, operator or standalone: with `auto` it stays so, whatever is installed later.
    """

    pipeline: MarketPipeline
    plan: Plan
    uid: str
    settings: OperatorSettings
    capabilities: Capabilities = field(default_factory=Capabilities)
    job: JobState = field(default_factory=JobState)
    stopped: frozenset[str] = frozenset()
    hold_workloads: bool = False
    decided: str | None = None

    @property
    def name(self) -> str:
        return self.pipeline.name

    @property
    def namespace(self) -> str:
        return self.pipeline.metadata.namespace or "default"

    @property
    def uses_flink_operator(self) -> bool:
        """Whether the job is a FlinkDeployment."""
        mode = self.plan.stream_job.mode if self.plan.stream_job else "standalone"
        if mode == "auto" and self.decided:
            mode = self.decided
        return mode == "operator" or (mode == "auto" and self.capabilities.flink)

    @property
    def topic_provider(self) -> str:
        """Who creates the topics: redpanda, strimzi or admin."""
        broker = self.pipeline.spec.broker
        if broker.provider.value != "auto":
            return broker.provider.value
        if broker.cluster and self.capabilities.redpanda:
            return "redpanda"
        return "strimzi" if broker.cluster and self.capabilities.strimzi else "admin"
