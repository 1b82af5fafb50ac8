"""What a user of the chart market-stack may set: a group for each part, and what is common to all of them.

A part runs here (`enabled`), or is somebody else's (`external`: its address, and the Secret that opens it), or is
not there; the pipeline that comes with the stack takes what is there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from marketpipeline.schema import ADDRESSES
from marketpipeline.venues import venues
from pydantic import Field, StringConstraints

from marketpipeline_operator.chart.model import (
    Amounts,
    Interval,
    Label,
    OptionalDigest,
    OptionalName,
    OptionalTag,
    Port,
    PullPolicy,
    Text,
    ValuesModel,
    Variable,
    example_symbols,
)
from marketpipeline_operator.crd import custom_resource_definition
from marketpipeline_operator.settings import COMPONENTS_VERSION

__all__ = ["DATABASE", "StackValues"]

DATABASE = "marketpipeline"
"""Name of the user and of the database, in every store."""

Compute = dict[Literal["requests", "limits"], Amounts]
Size = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(\.[0-9]+)?(Mi|Gi|Ti)$")]
Key = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]{1,253}$")]
Folder = Annotated[str, StringConstraints(pattern=r"^[0-9]+(ms|s|m|h|d|w|y)$")]
Bucket = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]$")]


def _url(*schemes: str) -> Any:
    return StringConstraints(pattern=rf"^$|^({'|'.join(schemes)})://[^\s]+$")


class Image(ValuesModel):
    repository: Text = Field(description="Name of the image, with its registry.")
    tag: OptionalTag = Field(description="Tag.")
    digest: OptionalDigest = Field(default="", description="Digest (sha256:…); where it is given the tag is not used.")
    pull_policy: PullPolicy = Field(default="IfNotPresent", description="When the kubelet pulls.")


class Pod(ValuesModel):
    security_context: dict[str, Any] = Field(
        default_factory=dict,
        description="User and group of the Pod; null removes a field, e.g. runAsUser on OpenShift. The rest is as "
        "the `restricted` Pod security standard wants it.",
    )
    annotations: dict[str, str] = Field(default_factory=dict, description="Annotations.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels.")
    node_selector: dict[str, str] = Field(default_factory=dict, description="Labels of the nodes that it may run on.")
    tolerations: list[dict[str, Any]] = Field(default_factory=list, description="Taints of nodes that it tolerates.")
    affinity: dict[str, Any] = Field(default_factory=dict, description="Which nodes and neighbours it prefers.")
    priority_class_name: str = Field(default="", description="PriorityClass; empty is the cluster's default.")
    env: list[Variable] = Field(default_factory=list, description="More environment variables of its container.")


class Persistence(ValuesModel):
    enabled: bool = Field(default=True, description="Whether data outlives the Pod, in a volume.")
    size: Size = Field(default="10Gi", description="Size of the volume.")
    storage_class: str = Field(default="", description="StorageClass; empty is the cluster's default.")
    keep: bool = Field(default=True, description="Whether the volume outlives `helm uninstall`.")


class Auth(ValuesModel):
    existing_secret: OptionalName = Field(
        default="",
        description="Name of a Secret with the passwords, in the keys that the README says. Empty: the chart makes one "
        "and keeps it; where nothing can be looked up (helm template, Argo CD) it has to be given.",
    )


class Tls(ValuesModel):
    secret_name: OptionalName = Field(
        default="",
        description="Name of a Secret with tls.crt, tls.key and ca.crt, as cert-manager makes it; empty is no TLS.",
    )


class SecretRef(ValuesModel):
    secret_name: OptionalName = Field(default="", description="Name of the Secret with its password.")
    secret_key: Key = Field(default="password", description="Key in it.")
    ca_secret_name: OptionalName = Field(
        default="", description="Name of a Secret with its certificate authority, in ca.crt; with it TLS is used."
    )


class Part(ValuesModel):
    pod: Pod = Field(default_factory=Pod, description="Its Pod.")


class ExternalPostgres(SecretRef):
    url: Annotated[str, _url("postgresql")] = Field(
        default="", description="postgresql://user@host:port/database of one that is there already, without a password."
    )


class Timescaledb(Part):
    enabled: bool = Field(default=True, description="Whether it runs here.")
    external: ExternalPostgres = Field(
        default_factory=ExternalPostgres, description="One that is there already, TimescaleDB or PostgreSQL."
    )
    image: Image = Field(default=Image(repository="timescale/timescaledb", tag="2.27.1-pg17"), description="Its image.")
    auth: Auth = Field(
        default_factory=Auth,
        description="Passwords: keys `password` (user marketpipeline), `postgres` (superuser), `grafana` (reads only).",
    )
    tls: Tls = Field(default_factory=Tls, description="TLS.")
    persistence: Persistence = Field(default_factory=Persistence, description="Its volume.")
    parameters: dict[str, str] = Field(
        default_factory=dict, description="Settings of the server by name, e.g. max_connections: '200'."
    )
    resources: Compute = Field(
        default={"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}, description="Compute."
    )
    pod: Pod = Field(
        default=Pod(security_context={"runAsUser": 70, "runAsGroup": 70, "fsGroup": 70}), description="Its Pod."
    )


class ExternalRedis(SecretRef):
    url: Annotated[str, _url("redis", "rediss")] = Field(
        default="", description="redis://host:port/number of one that is there already, without a password."
    )


class Redis(Part):
    enabled: bool = Field(default=True, description="Whether Valkey runs here.")
    external: ExternalRedis = Field(
        default_factory=ExternalRedis, description="One that is there already, Redis or Valkey."
    )
    image: Image = Field(default=Image(repository="valkey/valkey", tag="8.1.1"), description="Its image.")
    auth: Auth = Field(default_factory=Auth, description="Password: key `password`.")
    tls: Tls = Field(default_factory=Tls, description="TLS.")
    max_memory: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(mb|gb)$")] = Field(
        default="192mb", description="Memory for values; what was used longest ago goes first."
    )
    resources: Compute = Field(
        default={"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}}, description="Compute."
    )
    pod: Pod = Field(
        default=Pod(security_context={"runAsUser": 999, "runAsGroup": 999, "fsGroup": 999}), description="Its Pod."
    )


class ExternalKafka(SecretRef):
    bootstrap_servers: Annotated[str, StringConstraints(pattern=f"^$|{ADDRESSES}")] = Field(
        default="", description="Comma-separated host:port of a Kafka that is there already."
    )
    username: str = Field(default="", description="SASL user; no authentication when empty.")
    sasl_mechanism: Annotated[str, StringConstraints(pattern="^(SCRAM-SHA-256|SCRAM-SHA-512|PLAIN)$")] = Field(
        default="SCRAM-SHA-512", description="SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN."
    )
    tls: bool = Field(default=False, description="Whether to connect with TLS.")


class Console(Part):
    enabled: bool = Field(default=False, description="Whether Redpanda's console runs.")
    image: Image = Field(default=Image(repository="redpandadata/console", tag="v3.7.3"), description="Its image.")
    resources: Compute = Field(
        default={"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}, description="Compute."
    )
    pod: Pod = Field(
        default=Pod(security_context={"runAsUser": 99, "runAsGroup": 99, "fsGroup": 99}), description="Its Pod."
    )


class Redpanda(Part):
    enabled: bool = Field(default=True, description="Whether it runs here, as one broker.")
    external: ExternalKafka = Field(
        default_factory=ExternalKafka, description="A Kafka that is there already, of any make."
    )
    image: Image = Field(default=Image(repository="redpandadata/redpanda", tag="v26.1.9"), description="Its image.")
    auth: Auth = Field(default_factory=Auth, description="Password of the SASL user marketpipeline: key `password`.")
    tls: Tls = Field(default_factory=Tls, description="TLS.")
    persistence: Persistence = Field(default=Persistence(size="20Gi"), description="Its volume.")
    memory: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(M|G)$")] = Field(
        default="1G", description="Memory that the broker itself takes; below the limit of the container."
    )
    console: Console = Field(default_factory=Console, description="Topics and their records in a browser.")
    resources: Compute = Field(
        default={"requests": {"cpu": "500m", "memory": "1500Mi"}, "limits": {"memory": "1500Mi"}},
        description="Compute.",
    )
    pod: Pod = Field(
        default=Pod(security_context={"runAsUser": 101, "runAsGroup": 101, "fsGroup": 101}), description="Its Pod."
    )


class ExternalClickHouse(SecretRef):
    url: Annotated[str, _url("http", "https")] = Field(
        default="", description="http://user@host:port/database of one that is there already, without a password."
    )


class ClickHouse(Part):
    enabled: bool = Field(default=False, description="Whether it runs here.")
    external: ExternalClickHouse = Field(default_factory=ExternalClickHouse, description="One that is there already.")
    image: Image = Field(default=Image(repository="clickhouse/clickhouse-server", tag="25.8"), description="Its image.")
    auth: Auth = Field(
        default_factory=Auth, description="Passwords: keys `password` (user marketpipeline), `grafana` (reads only)."
    )
    tls: Tls = Field(default_factory=Tls, description="TLS.")
    persistence: Persistence = Field(default=Persistence(size="20Gi"), description="Its volume.")
    resources: Compute = Field(
        default={"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "2Gi"}}, description="Compute."
    )
    pod: Pod = Field(
        default=Pod(security_context={"runAsUser": 101, "runAsGroup": 101, "fsGroup": 101}), description="Its Pod."
    )


class ExternalS3(ValuesModel):
    enabled: bool = Field(default=False, description="Whether there is a bucket already.")
    endpoint: Annotated[str, _url("http", "https")] = Field(
        default="", description="Address of what speaks S3; AWS when empty."
    )
    region: str = Field(default="", description="Region of the bucket.")
    secret_name: OptionalName = Field(
        default="",
        description="Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; the Pods' own identity when empty.",
    )


class S3(Part):
    enabled: bool = Field(default=False, description="Whether SeaweedFS runs here.")
    external: ExternalS3 = Field(default_factory=ExternalS3, description="A bucket that is there already.")
    bucket: Bucket = Field(default="market-data", description="Bucket of checkpoints and of the lake.")
    lake: bool = Field(default=False, description="Whether the pipeline keeps everything for good in the bucket.")
    image: Image = Field(default=Image(repository="chrislusf/seaweedfs", tag="4.48"), description="Its image.")
    auth: Auth = Field(default_factory=Auth, description="Keys: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
    persistence: Persistence = Field(default=Persistence(size="20Gi"), description="Its volume.")
    resources: Compute = Field(
        default={"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}, description="Compute."
    )
    pod: Pod = Field(
        default=Pod(security_context={"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000}), description="Its Pod."
    )


class Grafana(Part):
    enabled: bool = Field(default=True, description="Whether it runs here, with data sources and dashboards.")
    image: Image = Field(default=Image(repository="grafana/grafana", tag="12.1.1"), description="Its image.")
    auth: Auth = Field(default_factory=Auth, description="Password of the user admin: key `password`.")
    tls: Tls = Field(default_factory=Tls, description="TLS.")
    plugins: list[Text] = Field(
        default=["grafana-clickhouse-datasource"],
        description="Plugins that it fetches from grafana.com, where ClickHouse is there.",
    )
    anonymous: bool = Field(default=False, description="Whether everyone may look without a password.")
    persistence: Persistence = Field(
        default=Persistence(enabled=False, size="1Gi"),
        description="Its volume: users and dashboards of one's own. What the chart brings needs none.",
    )
    resources: Compute = Field(
        default={"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}, description="Compute."
    )
    pod: Pod = Field(
        default=Pod(security_context={"runAsUser": 472, "runAsGroup": 472, "fsGroup": 472}), description="Its Pod."
    )


class ExternalPrometheus(ValuesModel):
    url: Annotated[str, _url("http", "https")] = Field(
        default="", description="Address of one that is there already, for Grafana."
    )


class Alertmanager(Part):
    enabled: bool = Field(default=False, description="Whether it runs here; it takes Prometheus.")
    external: Annotated[str, StringConstraints(pattern=r"^$|^[A-Za-z0-9][-.A-Za-z0-9]*:[0-9]{1,5}$")] = Field(
        default="", description="host:port of one that is there already."
    )
    image: Image = Field(default=Image(repository="prom/alertmanager", tag="v0.28.1"), description="Its image.")
    existing_secret: OptionalName = Field(
        default="",
        description="Name of a Secret with the whole of alertmanager.yml, which may hold passwords. Empty: "
        "alerts are shown and sent to nobody.",
    )
    resources: Compute = Field(
        default={"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}, description="Compute."
    )
    pod: Pod = Field(
        default=Pod(security_context={"runAsUser": 65534, "runAsGroup": 65534, "fsGroup": 65534}),
        description="Its Pod.",
    )


class Prometheus(Part):
    enabled: bool = Field(default=False, description="Whether it runs here.")
    external: ExternalPrometheus = Field(default_factory=ExternalPrometheus, description="One that is there already.")
    image: Image = Field(default=Image(repository="prom/prometheus", tag="v3.5.0"), description="Its image.")
    namespaces: list[Label] = Field(
        default_factory=list,
        json_schema_extra={"uniqueItems": True},
        description="Namespaces beside the release's own whose Pods it reads, with a Role in each: the operator's, so "
        "that no alert fires of a pipeline that is suspended or asleep.",
    )
    interval: Interval = Field(default="15s", description="Time between two scrapes.")
    retention: Folder = Field(default="15d", description="Time that it keeps series.")
    runbooks: str = Field(
        default="https://marketpipeline.dev/runbooks", description="First part of the URL of an alert's runbook."
    )
    alertmanager: Alertmanager = Field(default_factory=Alertmanager, description="Where its alerts go.")
    persistence: Persistence = Field(default_factory=Persistence, description="Its volume.")
    resources: Compute = Field(
        default={"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}, description="Compute."
    )
    pod: Pod = Field(
        default=Pod(security_context={"runAsUser": 65534, "runAsGroup": 65534, "fsGroup": 65534}),
        description="Its Pod.",
    )


class Simulator(Part):
    enabled: bool = Field(
        default=False,
        description="Whether a simulated exchange runs, which the pipeline reads in place of the real one.",
    )
    image: Image = Field(
        default=Image(repository="marketpipeline/simulator", tag=COMPONENTS_VERSION), description="Its image."
    )
    arguments: list[Text] = Field(
        default_factory=list,
        description="More arguments of `marketpipeline simulator`, for each exchange, e.g. --seed, '7'.",
    )
    exchanges: list[Text] = Field(
        default_factory=lambda: sorted(venues()),
        description="Whose place it takes, where the pipeline follows symbols of them.",
    )
    port: Port = Field(default=9443, description="Port of the first of them; the others have those that follow.")
    resources: Compute = Field(
        default={"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}, description="Compute."
    )
    pod: Pod = Field(default=Pod(security_context={"runAsUser": 65532, "runAsGroup": 65532}), description="Its Pod.")


def _spec_schema() -> dict[str, Any]:
    """The schema of `pipeline.spec`, from the CRD: helm refuses what the API server would, before anything is made."""
    found: dict[str, Any] = _plain(
        custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    )
    return found


def _plain(schema: Any) -> Any:
    """JSON Schema in place of the CRD's: no Kubernetes keywords, and no name that is not known."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    found = {
        name: {key: _plain(value) for key, value in part.items()} if name == "properties" else _plain(part)
        for name, part in schema.items()
        if not name.startswith("x-kubernetes-") and name not in ("description", "default", "nullable", "required")
    }
    for bound in ("Minimum", "Maximum"):  # a flag beside the bound in OpenAPI 3.0, the bound itself in JSON Schema
        if found.get(f"exclusive{bound}") is True:
            found[f"exclusive{bound}"] = found.pop(bound.lower())
    if "properties" in found and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found["additionalProperties"] = False
    return found


class Pipeline(ValuesModel):
    enabled: bool = Field(
        default=True,
        description="Whether a MarketPipeline comes with the stack; it takes the operator, a release of its own.",
    )
    name: Label = Field(default="crypto", max_length=40, description="Its name.")
    keep: bool = Field(
        default=False, description="Whether it outlives `helm uninstall`; else remove it first, as the README says."
    )
    spec: dict[str, Any] = Field(
        default_factory=lambda: {"symbols": example_symbols(), "dashboard": {"enabled": True}},
        json_schema_extra=_spec_schema(),
        description="Its spec, over the addresses and Secrets of the stack; see `kubectl explain mp.spec`.",
    )


class NetworkPolicies(ValuesModel):
    enabled: bool = Field(
        default=True, description="Whether each part is reached at its port only, from its own namespace and `from`."
    )
    from_: list[dict[str, Any]] = Field(
        default_factory=list, alias="from", description="Who else may reach the parts, as `from` of a NetworkPolicy."
    )


class StackTest(ValuesModel):
    image: Image = Field(
        default=Image(repository="marketpipeline/api", tag=COMPONENTS_VERSION),
        description="An image with Python, such as that of the API.",
    )
    symbol: str = Field(
        default="", description="Symbol whose candle is asked for; the first of the pipeline's when empty."
    )
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=300, description="Time for the first candle to be there."
    )


class StackValues(ValuesModel):
    """All values."""

    image_pull_secrets: list[Label] = Field(
        default_factory=list, description="Names of image pull Secrets, for the Pods of all parts."
    )
    common_labels: dict[str, str] = Field(default_factory=dict, description="Labels of every object.")
    pipeline: Pipeline = Field(default_factory=Pipeline, description="The MarketPipeline.")
    simulator: Simulator = Field(default_factory=Simulator, description="A simulated exchange.")
    redpanda: Redpanda = Field(default_factory=Redpanda, description="The broker.")
    timescaledb: Timescaledb = Field(default_factory=Timescaledb, description="The history.")
    redis: Redis = Field(default_factory=Redis, description="The newest values.")
    clickhouse: ClickHouse = Field(default_factory=ClickHouse, description="The history for analysts.")
    s3: S3 = Field(default_factory=S3, description="Checkpoints, and the lake.")
    grafana: Grafana = Field(default_factory=Grafana, description="Dashboards.")
    prometheus: Prometheus = Field(default_factory=Prometheus, description="How the pipeline is, and alerts.")
    network_policies: NetworkPolicies = Field(default_factory=NetworkPolicies, description="NetworkPolicies.")
    test: StackTest = Field(default_factory=StackTest, description="`helm test`: whether the API has a candle.")
    name_override: OptionalName = Field(default="", description="In place of the chart's name.")
    fullname_override: OptionalName = Field(default="", description="In place of release and chart name together.")
