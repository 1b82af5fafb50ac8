"""What a user of the chart may set: the one definition of values.yaml and of its schema.

Defaults that the manifests have too come from `install.py`; what only the operator understands, from its settings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from marketpipeline.plan import Component
from marketpipeline.settings import SettingsModel
from pydantic import Field

from marketpipeline_operator.chart.model import (
    Amounts,
    Interval,
    Label,
    OptionalDigest,
    OptionalName,
    OptionalTag,
    PullPolicy,
    Text,
    ValuesModel,
    Variable,
)
from marketpipeline_operator.install import documents
from marketpipeline_operator.settings import (
    DeletionSettings,
    FlinkSettings,
    MonitoringSettings,
    ReconcileSettings,
    Seconds,
)

__all__ = ["OtherSettings", "Values"]

_POD = documents()["deployment.yaml"][1]["spec"]["template"]["spec"]
_CONTAINER = _POD["containers"][0]


class Image(ValuesModel):
    repository: Text = Field(default="marketpipeline/operator", description="Name of the image, with its registry.")
    tag: OptionalTag = Field(default="", description="Tag; empty is the chart's appVersion.")
    digest: OptionalDigest = Field(default="", description="Digest (sha256:…); where it is given the tag is not used.")
    pull_policy: PullPolicy = Field(default="IfNotPresent", description="When the kubelet pulls.")
    pull_secrets: list[Label] = Field(
        default_factory=list, description="Names of image pull Secrets in the operator's namespace."
    )


class Images(ValuesModel):
    registry: Text = Field(
        default="marketpipeline", description="First part of every image's name; an image is registry/component:tag."
    )
    tag: OptionalTag = Field(default="", description="Tag of every image; empty is what this operator is made for.")
    overrides: dict[Component, Text] = Field(
        default_factory=dict,
        description=(
            "Whole image names by component, e.g. one pinned by digest. "
            f"Components: {', '.join(component.value for component in Component)}."
        ),
    )
    pull_policy: PullPolicy = Field(default="IfNotPresent", description="When the kubelet pulls.")
    pull_secrets: list[Label] = Field(
        default_factory=list, description="Names of image pull Secrets in the namespaces of the pipelines."
    )


class Crds(ValuesModel):
    install: bool = Field(
        default=True,
        description=(
            "Whether the CRD is part of the release, so that an upgrade of the release upgrades it; false where "
            "someone else applies crds/."
        ),
    )
    keep: bool = Field(
        default=True,
        description="Whether the CRD, and so every MarketPipeline, outlives `helm uninstall`.",
    )


class ServiceAccount(ValuesModel):
    create: bool = Field(default=True, description="Whether the chart makes it.")
    name: OptionalName = Field(default="", description="Its name; empty is the release's full name.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Annotations, e.g. of a cloud's identity.")


class Rbac(ValuesModel):
    create: bool = Field(
        default=True, description="Whether the chart makes the roles and bindings; false where someone else does."
    )


class ServiceMonitor(ValuesModel):
    enabled: bool = Field(
        default=False,
        description="Whether to make a ServiceMonitor; it takes Prometheus' operator.",
    )
    interval: Interval = Field(default="15s", description="Time between two scrapes.")
    labels: dict[str, str] = Field(
        default_factory=dict, description="Labels by which Prometheus selects it, e.g. release: prometheus."
    )


class OperatorAlerts(ValuesModel):
    enabled: bool = Field(
        default=False,
        description="Whether to make a PrometheusRule of alerts on the operator itself; it takes the ServiceMonitor.",
    )
    labels: dict[str, str] = Field(
        default_factory=dict, description="Labels by which Prometheus selects it, e.g. release: prometheus."
    )


class Metrics(ValuesModel):
    service_monitor: ServiceMonitor = Field(
        default_factory=ServiceMonitor, description="How Prometheus' operator finds the operator's own metrics."
    )
    prometheus_rule: OperatorAlerts = Field(
        default_factory=OperatorAlerts, description="Alerts when the operator is gone or does no work."
    )


DataSource = Literal["clickhouse", "prometheus", "timescale"]


class Dashboards(ValuesModel):
    enabled: bool = Field(
        default=False,
        description=(
            "Whether to make a ConfigMap with each dashboard, which the sidecar of Grafana's chart loads by its labels."
        ),
    )
    stores: list[DataSource] = Field(
        default=["timescale", "prometheus"],
        description="Data sources that Grafana has: a history to read by SQL, Prometheus for the pipeline's health.",
    )
    labels: dict[str, str] = Field(
        default={"grafana_dashboard": "1"}, description="Labels by which the sidecar finds them."
    )
    annotations: dict[str, str] = Field(
        default={"grafana_folder": "Market data"}, description="Annotations, e.g. of the folder."
    )


class LeaseTimes(SettingsModel):
    duration: Seconds = Field(default=15, description="Silence of the holder after which another takes over.")
    renew: Seconds = Field(default=3, description="Time between two renewals; at most a third of the duration.")


class TelemetryValues(SettingsModel):
    otlp_endpoint: str | None = Field(default=None, description="Base URL of an OTLP/HTTP collector for traces.")
    trace_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.001, description="Share of traces kept (0 to 1)."
    )


class DisruptionBudget(ValuesModel):
    enabled: bool = Field(default=False, description="Whether to make one; of use with more than one operator.")
    max_unavailable: Annotated[int, Field(ge=0, le=5)] = Field(
        default=1, description="Operators that a drain may take away at a time."
    )


class NetworkPolicy(ValuesModel):
    enabled: bool = Field(default=False, description="Whether to make one: in to port 9100 alone, out to `egress`.")
    from_: list[dict[str, Any]] = Field(
        default_factory=list, alias="from", description="Who may read metrics and health; everyone when empty."
    )
    egress: list[dict[str, Any]] = Field(
        default=[{}],
        description="Where it may go: the API server, brokers, and the Pods of pipelines; anywhere by default.",
    )


class OtherSettings(SettingsModel):
    """Branches of the operator's settings that no other value sets."""

    reconcile: ReconcileSettings = Field(ReconcileSettings(), description="How work is spread over time. Seconds.")
    deletion: DeletionSettings = Field(DeletionSettings(), description="Limits of a deletion's steps. Seconds.")
    lease: LeaseTimes = Field(LeaseTimes(), description="By which one operator works and others wait. Seconds.")
    flink: FlinkSettings = Field(FlinkSettings(), description="The stream job's surroundings.")
    monitoring: MonitoringSettings = Field(
        MonitoringSettings(), description="What each pipeline gets for Prometheus' operator, where the cluster has it."
    )
    telemetry: TelemetryValues = Field(TelemetryValues(), description="Traces of the operator.")


class Values(ValuesModel):
    """All values."""

    image: Image = Field(default_factory=Image, description="The operator's own image.")
    images: Images = Field(
        default_factory=Images, description="The images of services and of the stream job, which the operator hands on."
    )
    namespaces: list[Label] = Field(
        default_factory=list,
        json_schema_extra={"uniqueItems": True},
        description=(
            "Namespaces whose MarketPipelines it serves, with a Role in each; they have to exist. None means the whole "
            "cluster, with a ClusterRole."
        ),
    )
    replicas: Annotated[int, Field(ge=0, le=5)] = Field(
        default=1,
        description="Operators. One works, any other stands by and is not Ready, so `helm --wait` would time out.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level logged.")
    settings: OtherSettings = Field(
        default_factory=OtherSettings,
        description="Further settings of the operator. What is absent has the operator's own default:",
    )
    env: list[Variable] = Field(
        default_factory=list,
        description=(
            "Environment variables: name with value or valueFrom. MARKETPIPELINE_RECONCILE__WORKERS and the like "
            "override a setting."
        ),
    )
    crds: Crds = Field(default_factory=Crds, description="The CustomResourceDefinition.")
    service_account: ServiceAccount = Field(default_factory=ServiceAccount, description="What the operator runs as.")
    rbac: Rbac = Field(default_factory=Rbac, description="The rights of the operator.")
    dashboards: Dashboards = Field(default_factory=Dashboards, description="Grafana's dashboards.")
    metrics: Metrics = Field(default_factory=Metrics, description="The operator's own metrics, served on port 9100.")
    resources: dict[Literal["requests", "limits", "claims"], Amounts | list[Any]] = Field(
        default_factory=lambda: _CONTAINER["resources"], description="Compute of the operator."
    )
    termination_grace_period_seconds: Annotated[int, Field(ge=1)] = Field(
        default=_POD["terminationGracePeriodSeconds"], description="Time to end in order."
    )
    pod_annotations: dict[str, str] = Field(default_factory=dict, description="Annotations of the Pod.")
    pod_labels: dict[str, str] = Field(default_factory=dict, description="Labels of the Pod.")
    volumes: list[dict[str, Any]] = Field(
        default_factory=list, description="More volumes of the Pod, e.g. a certificate authority of one's own."
    )
    volume_mounts: list[dict[str, Any]] = Field(default_factory=list, description="Where its container has them.")
    pod_disruption_budget: DisruptionBudget = Field(
        default_factory=DisruptionBudget, description="PodDisruptionBudget."
    )
    network_policy: NetworkPolicy = Field(default_factory=NetworkPolicy, description="NetworkPolicy.")
    pod_security_context: dict[str, Any] = Field(
        default_factory=lambda: _POD["securityContext"],
        description="Security of the Pod; null removes a field, e.g. runAsUser on OpenShift.",
    )
    security_context: dict[str, Any] = Field(
        default_factory=lambda: _CONTAINER["securityContext"], description="Security of the container."
    )
    node_selector: dict[str, str] = Field(default_factory=dict, description="Labels of the nodes that it may run on.")
    tolerations: list[dict[str, Any]] = Field(default_factory=list, description="Taints of nodes that it tolerates.")
    affinity: dict[str, Any] = Field(default_factory=dict, description="Which nodes and neighbours it prefers.")
    priority_class_name: str = Field(
        default="", description="PriorityClass of the Pod; empty is the cluster's default."
    )
    common_labels: dict[str, str] = Field(default_factory=dict, description="Labels of every object.")
    name_override: OptionalName = Field(default="", description="In place of the chart's name.")
    fullname_override: OptionalName = Field(default="", description="In place of release and chart name together.")
