"""What it takes to run a pipeline, as data: printed, compared, and turned into objects or processes."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from marketpipeline.records import SymbolThresholds
from marketpipeline.sink_kinds import SinkKind, sink_kinds
from marketpipeline.topics import TopicKind

__all__ = [
    "Component",
    "Plan",
    "PlanModel",
    "Port",
    "Preparation",
    "Probe",
    "ScheduledJob",
    "SecretEnv",
    "SecretFolder",
    "StreamJob",
    "Topic",
    "Workload",
]


class PlanModel(BaseModel):
    """A part of a plan."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Component(StrEnum):
    """A program of this project. The value is its command, and its image's name.

    The registry of sinks adds a member for each sink and for each job of one (`Component("sink-redis")`).
    """

    INGESTION = "ingestion"
    API = "api"
    DASHBOARD = "dashboard"
    STALENESS_CHECK = "staleness-check"
    TIERS = "tiers"
    BACKUP = "backup"
    STREAM_JOB = "stream-job"

    _ignore_ = ["kind", "name"]  # noqa: RUF012 - the form that enum wants
    for kind in sink_kinds().values():
        for name in kind.components:
            vars()[name.upper().replace("-", "_")] = name

    @property
    def sink(self) -> SinkKind | None:
        """The kind of sink that this is the process of, or a job of; None for any other program."""
        return next((kind for kind in sink_kinds().values() if self.value in kind.components), None)

    @property
    def is_sink(self) -> bool:
        """Whether it is the process that writes topics to a store."""
        return self.sink is not None and self.value == self.sink.component


class Topic(PlanModel):
    """A topic and its settings, in Kafka's terms."""

    name: str
    kind: TopicKind
    partitions: int
    replication_factor: int
    config: dict[str, str]


class Port(PlanModel):
    """A TCP port that a process serves."""

    name: str
    number: int


class Probe(PlanModel):
    """An HTTP GET that must answer 200; times in seconds."""

    path: str
    port: str
    period: int
    failures: int


class SecretEnv(PlanModel):
    """An environment variable that takes its value from a Secret; the value itself is in no plan."""

    variable: str
    secret: str
    key: str


class SecretFolder(PlanModel):
    """A Secret that a process reads as a folder of files, an entry each; it follows changes without a restart.

    `setting` is the field of the settings that says where the folder is. On one machine there are no Secrets, and the
    setting is left out. `keys` are entries that have to be there.
    """

    setting: str
    secret: str
    path: str
    keys: tuple[str, ...] = ()


class Preparation(PlanModel):
    """A command that has to end well before a process begins, whenever that begins. `settings` are its own file."""

    name: str
    component: Component
    settings: dict[str, Any]
    secrets: tuple[SecretEnv, ...] = ()


class Workload(PlanModel):
    """A process that runs until it is told to stop.

    `name` is unique within the plan; `settings` is the JSON of the component's settings model. `after` names what has
    to be ready before it is of use (a hint for starting and stopping in order, not a condition). `cpu` and `memory`
    are Kubernetes quantities. `drain_seconds` is how long a stop may take. Of each replica `copies` run at the same
    time and do the same, so that the loss of one is the loss of nothing.
    """

    name: str
    component: Component
    settings: dict[str, Any]
    replicas: int
    copies: int = 1
    ports: tuple[Port, ...]
    startup: Probe
    readiness: Probe
    liveness: Probe
    secrets: tuple[SecretEnv, ...] = ()
    secret_folders: tuple[SecretFolder, ...] = ()
    after: tuple[str, ...] = ()
    preparation: Preparation | None = None
    cpu: str
    memory: str
    drain_seconds: int


class StreamJob(PlanModel):
    """The Flink job. `settings` is the JSON of `JobSettings`, whose thresholds hold until a symbol has its own."""

    name: str
    settings: dict[str, Any]
    mode: str
    parallelism: int
    state_backend: str
    checkpoint_interval_ms: int
    checkpoint_directory: str
    checkpoint_claim: str | None = None
    secrets: tuple[SecretEnv, ...] = ()
    cpu: str
    memory: str


class ScheduledJob(PlanModel):
    """A command that runs at set times. `schedule` is in cron's form, UTC."""

    name: str
    component: Component
    settings: dict[str, Any]
    schedule: str
    secrets: tuple[SecretEnv, ...] = ()
    timeout_seconds: int


class Plan(PlanModel):
    """Everything that a pipeline consists of.

    `symbols` are those that it follows: the ones that it names, and what its selectors stood for when it was made.
    `thresholds` are those in force per symbol, to be written to the thresholds topic: the job reads them there,
    so that a change needs no restart.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    pipeline: str
    suspended: bool
    symbols: tuple[str, ...]
    topics: tuple[Topic, ...]
    workloads: tuple[Workload, ...]
    stream_job: StreamJob | None
    scheduled_jobs: tuple[ScheduledJob, ...]
    thresholds: tuple[SymbolThresholds, ...]

    def topic(self, kind: TopicKind) -> Topic | None:
        """The topic of a kind, or None where the pipeline has none."""
        return next((topic for topic in self.topics if topic.kind is kind), None)

    def workload(self, name: str) -> Workload:
        """A workload by its name. Raises KeyError."""
        for workload in self.workloads:
            if workload.name == name:
                return workload
        raise KeyError(name)
