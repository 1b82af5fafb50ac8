"""The operator's settings: one tree, loaded once in `main`, from a JSON file and the environment."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from marketpipeline.plan import Component
from marketpipeline.settings import Settings, SettingsModel
from pydantic import Field, model_validator

__all__ = [
    "COMPONENTS_VERSION",
    "DeletionSettings",
    "FlinkSettings",
    "ImageSettings",
    "LeaseSettings",
    "MonitoringSettings",
    "OperatorSettings",
    "ReconcileSettings",
]

COMPONENTS_VERSION = "0.1.0"
"""The release whose components' images this operator starts. It is raised with a release that changes one of them, not
with one that changes only the operator, so that a new operator replaces no Pod."""

Seconds = Annotated[float, Field(gt=0)]


class ImageSettings(SettingsModel):
    """Which images the Pods run. An image is `registry/component:tag`."""

    registry: str = Field(default="marketpipeline", description="First part of every image's name, with any path.")
    tag: str = Field(
        default=COMPONENTS_VERSION,
        description="Tag of every image; by default the newest release in which one of them changed.",
    )
    overrides: dict[str, str] = Field(
        default_factory=dict, description="Whole image names by component, e.g. one pinned by digest."
    )
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="When the kubelet pulls."
    )
    pull_secrets: list[str] = Field(
        default_factory=list, description="Names of image pull Secrets in the namespaces of the pipelines."
    )

    def of(self, component: Component) -> str:
        """The image of a component."""
        return self.overrides.get(component.value, f"{self.registry}/{component.value}:{self.tag}")


class ReconcileSettings(SettingsModel):
    """How work on pipelines is spread over time. All times in seconds."""

    workers: Annotated[int, Field(ge=1, le=64)] = Field(default=8, description="Pipelines worked on at a time.")
    interval: Seconds = Field(
        default=120,
        description="Time after which a pipeline is looked at though nothing happened, give or take 20 %; longer with "
        "more than 600 pipelines, of which five are looked at a second.",
    )
    resync: Seconds = Field(
        default=600, description="Time between two full listings of the children, against a missed event."
    )
    least_gap: Annotated[float, Field(ge=0)] = Field(
        default=0.25, description="Least time between two passes over one pipeline; events within it are one."
    )
    backoff_initial: Seconds = Field(default=0.5, description="First wait after an error that may pass.")
    backoff_max: Seconds = Field(default=60, description="Longest wait after an error that may pass.")
    stalled_after: Seconds = Field(
        default=120, description="Age of work that is overdue or does not end, at which the liveness probe fails."
    )
    health_interval: Seconds = Field(
        default=15,
        description="Time between two questions to each process about how it is (its /health); longer with more than "
        "450 processes, of which 30 are asked a second.",
    )
    silent_after: Seconds = Field(
        default=60, description="Time without a frame of the exchange after which a process's data does not flow."
    )
    listing_interval: Seconds = Field(
        default=300,
        description="Time between two questions to an exchange about what a pipeline's selectors stand for.",
    )
    request_timeout: Seconds = Field(default=30, description="Longest time for one request to the API server.")


class DeletionSettings(SettingsModel):
    """How long the steps of a deletion may take, each counted from the start of the deletion. Seconds."""

    ingestion: Seconds = Field(default=45, description="For ingestion to send what it holds and end.")
    job: Seconds = Field(default=105, description="For the stream job to end with a savepoint.")
    sinks: Seconds = Field(default=150, description="For the sinks to store what they hold and end.")
    topics: Seconds = Field(default=180, description="For the topics to be removed, with deletionPolicy Delete.")


class LeaseSettings(SettingsModel):
    """The Lease by which one operator works and any other waits. Seconds."""

    name: str = Field(default="marketpipeline-operator", description="Name of the Lease.")
    namespace: str = Field(default="marketpipeline-system", description="Namespace of the Lease: the operator's own.")
    duration: Seconds = Field(
        default=15,
        description="Silence of the holder after which another takes over; the holder stops after two thirds of it.",
    )
    renew: Seconds = Field(default=3, description="Time between two renewals; at most a third of the duration.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.renew > self.duration / 3:
            raise ValueError(f"renew ({self.renew:g}) must be at most a third of duration ({self.duration:g})")
        return self


class FlinkSettings(SettingsModel):
    """The stream job's surroundings."""

    version: str = Field(default="v2_2", description="flinkVersion of a FlinkDeployment.")
    service_account: str = Field(
        default="flink", description="ServiceAccount of a FlinkDeployment, as Flink's operator installs it."
    )
    operator_namespace: str | None = Field(
        default=None,
        description="Namespace of Flink's operator, which alone may ask a JobManager; without it those that its "
        "Deployments and Pods are found in, and where these cannot be looked for this operator's own.",
    )
    python_jar: str = Field(
        default="local:///opt/flink/opt/flink-python-2.2.1.jar", description="The jar of Flink's Python driver."
    )
    rest_url: str = Field(
        default="http://{service}.{namespace}.svc:{port}",
        description="How the operator reaches a JobManager's REST port.",
    )
    savepoint_timeout: Seconds = Field(
        default=120, description="Time for a savepoint, in seconds; after it the job resumes from its last checkpoint."
    )


class MonitoringSettings(SettingsModel):
    """What is made for Prometheus' operator, where the cluster has it."""

    enabled: bool = Field(default=True, description="Whether to make a ServiceMonitor and a PrometheusRule.")
    interval: str = Field(default="15s", description="Time between two scrapes.")
    labels: dict[str, str] = Field(
        default_factory=dict, description="Labels by which Prometheus selects them, e.g. release: prometheus."
    )
    runbooks: str = Field(
        default="https://marketpipeline.dev/runbooks",
        description="First part of a runbook's URL; the runbooks are in docs/runbooks.",
    )


class OperatorSettings(Settings):
    """The whole tree."""

    pipeline: str = Field(default="operator", description="Name in logs and metrics.")
    namespaces: list[str] = Field(
        default_factory=list, description="Namespaces to serve; none means the whole cluster."
    )
    images: ImageSettings = ImageSettings()
    reconcile: ReconcileSettings = ReconcileSettings()
    deletion: DeletionSettings = DeletionSettings()
    lease: LeaseSettings = LeaseSettings()
    flink: FlinkSettings = FlinkSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
