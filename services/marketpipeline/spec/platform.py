"""What it runs on: broker, processing, API and retention."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from marketpipeline.schema import (
    ADDRESSES,
    FOREVER,
    PORT,
    CertificateKey,
    ClientCertificate,
    Duration,
    IngestionScaling,
    JobScaling,
    KeptFor,
    Name,
    PodTemplate,
    Resources,
    S3Access,
    SaslMechanism,
    Schedule,
    SecretKey,
    SecretKeyName,
    SpecModel,
    TextRule,
    TextRules,
    Url,
    seconds,
)
from marketpipeline.spec.flink import FlinkConfiguration
from marketpipeline.venues import venues

__all__ = [
    "WAKES_LATER",
    "Api",
    "Broker",
    "Dashboard",
    "DeletionPolicy",
    "Hibernation",
    "Ingestion",
    "Maintenance",
    "Processing",
    "ProcessingMode",
    "Retention",
    "Savepoints",
    "StateBackend",
    "TableRetention",
    "TopicProvider",
    "TopicRetention",
    "Window",
]

WAKES_LATER = "must be another time than hibernation.schedule, e.g. 0 7 * * 1-5"

_PLACE = TextRules(
    TextRule(
        r"^(/[^\s]*|file:/[^\s]*|[a-z][a-z0-9]*://[^\s/]+(/[^\s]*)?)$",
        "must be a URI or an absolute path without spaces: s3://bucket/path or file:///folder",
    )
)


ExchangeName = Annotated[str, StringConstraints(max_length=32)]


class DeletionPolicy(StrEnum):
    """What happens to the data when the MarketPipeline is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class TopicProvider(StrEnum):
    """Who creates the topics on a cluster."""

    AUTO = "auto"
    REDPANDA = "redpanda"
    STRIMZI = "strimzi"
    ADMIN = "admin"


class Broker(SpecModel):
    """The Kafka-compatible broker. On one machine without Docker an embedded broker takes its place."""

    bootstrap_servers: Annotated[str, StringConstraints(pattern=ADDRESSES, max_length=2048)] = Field(
        default="redpanda:9092",
        description="Comma-separated host:port of the brokers to connect to first.",
    )
    provider: TopicProvider = Field(
        default=TopicProvider.AUTO,
        description=(
            "Who creates the topics: `redpanda` (Topic resources), `strimzi` (KafkaTopic resources), `admin` (the "
            "broker itself), `auto` (the first of these that the cluster has)."
        ),
    )
    cluster: Name | None = Field(
        default=None,
        description="Name of the Redpanda or Kafka resource that the topics belong to.",
    )
    namespace: Name | None = Field(
        default=None,
        description="Namespace of that resource, where its operator looks for topics; the pipeline's own when absent.",
    )
    topic_prefix: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,99}$")] | None = Field(
        default=None,
        description="First part of every topic's name; the pipeline's name by default.",
    )
    partitions: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=3, description="Partitions of each data topic. May grow, never shrink."
    )
    replication_factor: Annotated[int, Field(ge=1, le=9)] = Field(
        default=1,
        description="Copies of each partition; 3 on a cluster of three or more brokers.",
    )
    username: Annotated[str, StringConstraints(min_length=1, max_length=253)] | None = Field(
        default=None, description="SASL user; no authentication when absent."
    )
    password_secret: SecretKey | None = Field(default=None, description="Where the SASL user's password is.")
    sasl_mechanism: SaslMechanism = Field(
        default=SaslMechanism.SCRAM_SHA_256,
        description="How the SASL user is authenticated: `SCRAM-SHA-256`, `SCRAM-SHA-512` or `PLAIN`.",
    )
    tls: bool = Field(default=False, description="Whether to connect with TLS.")
    ca_secret: CertificateKey | None = Field(
        default=None,
        description="Where the certificate authority of the broker is, in PEM form; the well-known ones when absent.",
    )
    client_certificate_secret: ClientCertificate | None = Field(
        default=None, description="Where the certificate of the clients is, for a broker that asks for one."
    )


class ProcessingMode(StrEnum):
    """How the stream job runs on a cluster."""

    AUTO = "auto"
    OPERATOR = "operator"
    STANDALONE = "standalone"


class StateBackend(StrEnum):
    """Where Flink keeps its state while it runs."""

    HASHMAP = "hashmap"
    ROCKSDB = "rocksdb"


class Window(SpecModel):
    """A time in which restarts that can wait are done."""

    schedule: Schedule = Field(description="When it begins, in cron's form and UTC.", examples=["0 2 * * 6"])
    duration: Duration = Field(default="1h", description="How long it is open.")


class Maintenance(SpecModel):
    """Restarts that can wait: those for a changed Secret and for the images of another release of the operator.

    What the spec asks for waits for nothing, and neither do restarts of what is not ready. One machine has none.
    """

    windows: Annotated[list[Window], Field(max_length=16)] = Field(
        default=[], description="When they are done; at once when there are none."
    )


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # what is not there, a folder such as Europe, no name
        raise ValueError("is no time zone; write one of the IANA database, e.g. Europe/Berlin") from None
    return name


class Hibernation(SpecModel):
    """Nightly or weekly rest: as with `suspend`, from one time to another. One machine has none."""

    schedule: Schedule = Field(
        description="When it falls asleep, in cron's form; the stream job stops with a savepoint.",
        examples=["0 20 * * 1-5"],
    )
    wake: Schedule = Field(
        description="When it goes on from there, in cron's form. A pipeline that is created between the two is asleep.",
        examples=["0 7 * * 1-5"],
    )
    time_zone: Annotated[
        str,
        StringConstraints(max_length=64),
        TextRules(TextRule("^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$", "must be a time zone's name, as Europe/Berlin")),
        AfterValidator(_known_zone),
    ] = Field(default="UTC", description="Whose clock these are, by its name in the IANA database: `Europe/Berlin`.")

    @field_validator("wake")
    @classmethod
    def _check_wake(cls, wake: str, info: ValidationInfo) -> str:
        if wake == info.data.get("schedule"):
            raise ValueError(WAKES_LATER)
        return wake


class Savepoints(SpecModel):
    """Savepoints that are kept beside those of a stop, which the next start uses up. One machine has only those."""

    schedule: Schedule | None = Field(
        default=None,
        description="When one is taken, in cron's form and UTC, e.g. `0 3 * * *`; none by a schedule when absent. The "
        "annotation `marketpipeline.dev/savepoint` takes one at once, whenever its text changes.",
    )
    keep: Annotated[int, Field(ge=1, le=100)] = Field(
        default=5, description="How many are kept; the oldest is removed for one more."
    )
    max_age: KeptFor = Field(
        default="30d", description="Age at which one is removed; the newest stays whatever its age."
    )


class Processing(SpecModel):
    """The stream job."""

    mode: ProcessingMode = Field(
        default=ProcessingMode.AUTO,
        description=(
            "`operator` makes a FlinkDeployment; `standalone` runs a JobManager and TaskManagers of the project's own "
            "image; `auto` takes the operator where it is installed. One machine always runs an embedded Flink."
        ),
    )
    parallelism: Annotated[int, Field(ge=1, le=256)] = Field(
        default=1,
        description="Parallel tasks of the job; more than `broker.partitions` is of no use.",
    )
    scaling: JobScaling | None = Field(
        default=None,
        description="Lets the operator choose the number of parallel tasks on a cluster, from `parallelism` on; with "
        "Flink's operator, its own autoscaler does.",
    )
    allowed_lateness: Duration = Field(
        default="2s",
        description="How long, in event time, a candle stays open after its end for trades that come late. A trade "
        "that is late for the smallest window is in no candle.",
    )
    checkpoint_interval: Duration = Field(default="10s", description="Time between two checkpoints.")
    checkpoint_directory: Annotated[str, StringConstraints(min_length=1, max_length=1024), _PLACE] = Field(
        default="file:///var/lib/marketpipeline/checkpoints",
        description="Where checkpoints and savepoints go: a URI that every Pod of the job reaches, e.g. s3://bucket/path.",
    )
    savepoints: Savepoints = Field(default_factory=Savepoints, description="Savepoints that are kept.")
    initial_savepoint: Annotated[str, StringConstraints(min_length=1, max_length=1024), _PLACE] | None = Field(
        default=None,
        description="A savepoint or checkpoint that the job starts from once, in place of its own newest state; then, "
        "and whenever it starts again, it goes on from what it has saved since.",
    )
    reset: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = Field(
        default=None,
        description="Any text: another one makes the job start without its state, from `initialSavepoint` where that "
        "is given, else from the beginning of its topics. What the topics no longer hold is not computed again.",
    )
    s3: S3Access | None = Field(
        default=None,
        description="How a checkpoint directory of s3:// is reached; AWS, with the Pods' own identity, when absent.",
    )
    checkpoint_claim: Name | None = Field(
        default=None,
        description=(
            "Name of a PersistentVolumeClaim that the Pods of the job mount where a `file:` checkpoint directory is; "
            "ReadWriteMany where they run on several nodes. Without it such a directory ends with its Pod, and the job "
            "starts again from the topics."
        ),
    )
    state_backend: StateBackend = Field(
        default=StateBackend.ROCKSDB,
        description="`rocksdb` where state may outgrow memory, `hashmap`, a sixth faster, where it never does.",
    )
    flink_configuration: FlinkConfiguration = Field(
        default_factory=dict,
        description="Flink's own settings by name, over what this project sets; those that follow from other fields "
        "are refused.",
    )
    service_account: Name | None = Field(
        default=None,
        description=(
            "Name of a ServiceAccount of yours that the job's Pods run as, e.g. one that is annotated with a role for "
            "S3. With Flink's operator it needs the rights of a job of Flink; `flink` when absent."
        ),
    )
    resources: Resources = Field(
        default_factory=lambda: Resources(cpu="1", memory="1728Mi"),
        description="Compute of each of the JobManager and the TaskManagers.",
    )
    pod: PodTemplate | None = Field(
        default=None, description="What their Pods have beside it, over what `pods` says for all."
    )


class Ingestion(SpecModel):
    """The processes that read the exchanges."""

    replicas: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1,
        description="Processes for each exchange; symbols are spread over them and stay where they are.",
    )
    scaling: IngestionScaling | None = Field(
        default=None, description="Lets the operator choose their number on a cluster, from `replicas` on."
    )
    redundancy: Annotated[int, Field(ge=1, le=3)] = Field(
        default=1,
        description=(
            "How many processes follow each symbol at the same time, on different nodes where there are some, each "
            "with connections of its own. With 2 the loss of either leaves no gap; each record is on its topic twice."
        ),
    )
    resources: Resources = Field(
        default_factory=lambda: Resources(cpu="500m"),
        description="Compute of each process.",
    )
    pod: PodTemplate | None = Field(
        default=None, description="What their Pods have beside it, over what `pods` says for all."
    )
    websocket_urls: Annotated[
        dict[ExchangeName, Annotated[str, StringConstraints(max_length=2048), Url("ws", "wss")]], Field(max_length=16)
    ] = Field(
        default_factory=dict,
        description="WebSocket address by exchange, in place of the exchange's public one.",
    )
    websocket_fallbacks: Annotated[
        dict[
            ExchangeName,
            Annotated[list[Annotated[str, StringConstraints(max_length=2048), Url("ws", "wss")]], Field(max_length=8)],
        ],
        Field(max_length=16),
    ] = Field(
        default_factory=dict,
        description=(
            "Further WebSocket addresses by exchange, tried in this order where a stream stays silent or is refused at "
            "the first, or nobody answers there; none with an empty list. Absent, they are those that the exchange "
            "documents, or none where `websocketUrls` has an address of your own."
        ),
    )
    rest_urls: Annotated[
        dict[ExchangeName, Annotated[str, StringConstraints(max_length=2048), Url("http", "https")]],
        Field(max_length=16),
    ] = Field(
        default_factory=dict,
        description="REST address by exchange, in place of the exchange's public one.",
    )

    @field_validator("websocket_urls", "websocket_fallbacks", "rest_urls")
    @classmethod
    def _known_exchanges(cls, values: dict[str, Any]) -> dict[str, Any]:
        if unknown := sorted(values.keys() - venues().keys()):
            raise ValueError(f"unknown exchange {unknown[0]!r}; known: {', '.join(sorted(venues()))}")
        return values


class RateUnit(StrEnum):
    """The time that a rate counts requests within."""

    SECOND = "Second"
    MINUTE = "Minute"
    HOUR = "Hour"
    DAY = "Day"


class RateLimit(SpecModel):
    """How often a client may ask: whoever has a key, or else an address. Replicas count together in the cache."""

    enabled: bool = Field(default=True, description="Whether there is a limit.")
    requests: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=100, description="Requests that a client may make within the unit."
    )
    unit: RateUnit = Field(default=RateUnit.MINUTE, description="`Second`, `Minute`, `Hour` or `Day`.")


class ApiAuth(SpecModel):
    """Who may ask. One machine, where the API serves the loopback alone, asks for no key."""

    secret_name: Name | None = Field(
        default=None,
        description="Name of a Secret with an entry for each client: its name, and its API key as the value. A change "
        "needs no restart. Everyone may ask when absent.",
    )


class ApiTls(SpecModel):
    """HTTPS. One machine, where the API serves the loopback alone, has none."""

    secret_name: Name | None = Field(
        default=None,
        description="Name of a Secret of type `kubernetes.io/tls`, as cert-manager makes it. A renewed certificate "
        "needs no restart. Plain HTTP when absent.",
    )


Origin = Annotated[str, StringConstraints(pattern=rf"^(\*|https?://[A-Za-z0-9.-]+(:{PORT})?)$", max_length=260)]
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_BYTE}(\.{_BYTE}){{3}}(/(3[0-2]|[12]?[0-9]))?"
_IPV6 = r"[0-9a-fA-F]{0,4}(:[0-9a-fA-F]{0,4}){2,7}(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?"
Network = Annotated[str, StringConstraints(pattern=f"^({_IPV4}|{_IPV6})$", max_length=43)]
"""An address, or a network in CIDR form."""


class Cors(SpecModel):
    """Which pages of other origins a browser lets ask."""

    allow_origins: Annotated[list[Origin], Field(max_length=64)] = Field(
        default_factory=list, description="Origins as `https://host`, or `*` for all; none by default."
    )
    max_age: Duration = Field(default="10m", description="How long a browser may keep the answer to its question.")


class Api(SpecModel):
    """The query API."""

    enabled: bool = Field(default=True, description="Whether the API runs. It needs at least one sink.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=8000, description="TCP port that it serves on.")
    replicas: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="Processes of the API.")
    resources: Resources = Field(default_factory=Resources, description="Compute of each process.")
    pod: PodTemplate | None = Field(
        default=None, description="What their Pods have beside it, over what `pods` says for all."
    )
    rate_limit: RateLimit = Field(default_factory=RateLimit, description="How often a client may ask.")
    auth: ApiAuth = Field(default_factory=ApiAuth, description="Who may ask.")
    tls: ApiTls = Field(default_factory=ApiTls, description="HTTPS.")
    cors: Cors = Field(default_factory=Cors, description="Which pages of other origins may ask.")
    trusted_proxies: Annotated[list[Network], Field(max_length=64)] = Field(
        default_factory=list,
        description="Addresses or networks (CIDR) of proxies, as an Ingress controller, whose X-Forwarded-For says "
        "which address a client has.",
    )


class ApiKeySecret(SecretKey):
    """Where an API key is."""

    key: SecretKeyName = Field(default="dashboard", description="Key within the Secret: the client's name.")


class Dashboard(SpecModel):
    """A page in the browser: books, candles, alerts, history. It asks the API, and no store."""

    enabled: bool = Field(default=False, description="Whether it runs. It needs the API.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=8501, description="TCP port that it serves on.")
    resources: Resources = Field(
        default_factory=lambda: Resources(cpu="250m", memory="512Mi"), description="Compute of its process."
    )
    pod: PodTemplate | None = Field(
        default=None, description="What its Pod has beside it, over what `pods` says for all."
    )
    api_key_secret: ApiKeySecret | None = Field(
        default=None, description="Its key for an API that asks for one: an entry of `api.auth.secretName`, say."
    )
    api_ca_secret: CertificateKey | None = Field(
        default=None, description="Who has signed the API's certificate; the well-known authorities when absent."
    )


class TopicRetention(SpecModel):
    """How long the broker keeps records; `forever` keeps them all."""

    raw: KeptFor = Field(default="7d", description="What ingestion writes.")
    derived: KeptFor = Field(default="7d", description="What the stream job writes.")
    dead_letters: KeptFor = Field(default="30d", description="Input that could not be used.")


class TableRetention(SpecModel):
    """How long the database keeps rows, `forever` for all; TimescaleDB drops whole chunks."""

    trades: KeptFor = Field(default="90d", description="Single trades.")
    book: KeptFor = Field(default="30d", description="Book metrics, a row an update, and tickers.")
    candles: KeptFor = Field(default="1825d", description="Candles of every interval.")
    alerts: KeptFor = Field(default="365d", description="Alerts.")
    events: KeptFor = Field(default="365d", description="Gaps, backfills and other events of the feeds.")
    compress_after: Duration = Field(default="2d", description="Age at which TimescaleDB compresses a chunk.")

    @property
    def days(self) -> dict[str, float]:
        """Days by the group of tables; one that is kept for ever is absent."""
        groups = {"trades": self.trades, "book": self.book, "candles": self.candles}
        groups |= {"alerts": self.alerts, "events": self.events}
        return {group: seconds(kept) / 86_400 for group, kept in groups.items() if kept != FOREVER}


class Retention(SpecModel):
    """How long data is kept: by the broker, by the database (the warm tier), and by the archive (the cold one).

    With an archive a day leaves the database only when that has it whole. The cache (the hot tier) has an `expiry`.
    """

    topics: TopicRetention = Field(default_factory=TopicRetention, description="In the broker.")
    tables: TableRetention = Field(default_factory=TableRetention, description="In the database.")
    archive: KeptFor = Field(default="forever", description="In the archive, where there is one.")
