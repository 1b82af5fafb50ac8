"""The settings of each component but the sinks, whose kinds bring theirs. A component's `main` loads its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, FilePath, SecretStr, create_model

from marketpipeline.alert_kinds import threshold_defaults
from marketpipeline.schema import HttpSettings, KafkaSettings, Milliseconds, Settings, SettingsModel
from marketpipeline.sink_kinds import StoreSettings, sink_kinds
from marketpipeline.topics import Feed

__all__ = [
    "ApiAccess",
    "ApiSettings",
    "DashboardSettings",
    "IngestionSettings",
    "JobSettings",
    "RateLimitSettings",
    "SimulatorSettings",
    "Stores",
    "ThresholdSettings",
    "TiersSettings",
]


class IngestionSettings(Settings):
    """One process that reads one exchange."""

    kafka: KafkaSettings
    topic_prefix: str = Field(description="First part of every topic's name.")
    exchange: str = Field(description="Name of the exchange.")
    symbols: list[str] = Field(description="Symbols of that exchange, without its prefix, that the pipeline follows.")
    replica: Annotated[int, Field(ge=0)] = Field(default=0, description="Number of this process, from 0.")
    replicas: Annotated[int, Field(ge=1)] = Field(default=1, description="Processes that share the symbols.")
    feeds: list[Feed] = Field(description="What to subscribe to.")
    levels: int = Field(description="Price levels of each side in a book record.")
    partial_depth: bool = Field(
        default=False,
        description="Follow the exchange's own top levels, not every change.",
    )
    websocket_url: str = Field(description="WebSocket endpoint of the exchange, without a path.")
    websocket_fallbacks: list[str] = Field(
        default=[],
        description="Further WebSocket endpoints, tried in this order where a stream is silent or refused at the "
        "first, or nobody answers there.",
    )
    rest_url: str = Field(description="REST endpoint of the exchange, without a path.")
    proxy: SecretStr | None = Field(
        default=None,
        description="URL of the proxy that the exchange is reached through (http, https, socks5), with its password.",
    )
    ca_file: FilePath | None = Field(
        default=None, description="Certificate authorities to trust, in PEM form, in place of the well-known ones."
    )
    stale_after_ms: Milliseconds = Field(
        default=30_000,
        description="Silence of a subscribed stream after which it is reported, at the least.",
    )
    max_backfill: Annotated[int, Field(ge=0)] = Field(
        default=100_000,
        description="Trades of a symbol to fetch over REST after an interruption; more are a gap.",
    )
    max_held: Annotated[int, Field(ge=1)] = Field(
        default=50_000,
        description="Live records of a symbol held back while it is backfilled or synchronised.",
    )
    max_ahead_ms: Milliseconds = Field(
        default=10_000,
        description="How far a time of the exchange may be ahead of its clock; beyond that the frame is a dead letter.",
    )
    max_behind_ms: Milliseconds = Field(
        default=600_000,
        description="How far a time of the exchange may be behind the newest of its connection, likewise.",
    )
    backoff_initial_ms: Milliseconds = Field(default=500, description="First wait before a new connection.")
    backoff_max_ms: Milliseconds = Field(default=60_000, description="Longest wait before a new connection.")
    stable_after_ms: Milliseconds = Field(
        default=60_000,
        description="Age of a connection at which the wait starts from the beginning again.",
    )
    report_interval_ms: Annotated[int, Field(ge=0)] = Field(
        default=30_000, description="Time between two lines of numbers in the log; none with 0."
    )
    drain_timeout_ms: Milliseconds = Field(default=20_000, description="Longest time to flush when told to stop.")


def _known_thresholds(values: dict[str, float]) -> dict[str, float]:
    known = threshold_defaults()
    if wrong := known.keys() ^ values.keys():
        raise ValueError(
            f"must hold the thresholds of the installed alerts, each once: {', '.join(known)}; "
            f"absent or unknown: {', '.join(sorted(wrong))}"
        )
    return values


ThresholdSettings = Annotated[dict[str, float], AfterValidator(_known_thresholds)]
"""Thresholds of all alerts by name, in the units of their entries."""


class JobSettings(Settings):
    """The stream job."""

    kafka: KafkaSettings
    topic_prefix: str = Field(description="First part of every topic's name.")
    consumer_group: str = Field(description="Group whose committed offsets tell what is processed.")
    feeds: list[Feed] = Field(description="Feeds that exist; ratios need the book, candles the trades.")
    levels: int = Field(description="Price levels of each side in a book record.")
    calculate: int = Field(description="Price levels of each side that ratios are computed over.")
    within_bps: float = Field(description="Distance from the mid, in basis points, of the depth sums.")
    windows: list[str] = Field(description="Candle intervals, e.g. 1m.")
    allowed_lateness_ms: Milliseconds = Field(description="How long a candle stays open after its end, in event time.")
    thresholds: ThresholdSettings = Field(description="Thresholds of the alerts, until those of a symbol are read.")
    parallelism: Annotated[int, Field(ge=1)] = Field(default=1, description="Parallel tasks.")
    checkpoint_interval_ms: Milliseconds = Field(default=10_000, description="Time between two checkpoints.")
    checkpoint_directory: str = Field(description="URI of the folder of checkpoints.")
    keeps_state: bool = Field(
        default=True,
        description="Whether that folder outlives the job's processes and is the same to all of them; else no job "
        "goes on from what is in it.",
    )
    initial_savepoint: str | None = Field(default=None, description="URI of the state that is started from once.")
    reset: str | None = Field(default=None, description="Another text than the last: start without own state.")
    state_backend: str = Field(default="rocksdb", description="hashmap or rocksdb.")
    flink_configuration: dict[str, str] | None = Field(
        default=None, description="Flink's own settings, over what the job sets itself."
    )
    heap_mb: Annotated[int, Field(ge=256)] = Field(
        default=1_024, description="Largest heap of an embedded Flink, in MiB; a cluster's processes have their own."
    )


class StoresBase(SettingsModel):
    """Base of `Stores`, which has a field for each kind of sink whose store can be read; absent ones are not asked."""

    def by_kind(self) -> dict[str, StoreSettings]:
        """The stores that the pipeline has by the names of their kinds, in the order in which they are asked."""
        kinds = sorted(sink_kinds().values(), key=lambda kind: kind.rank)
        found = {kind.name: getattr(self, kind.name) for kind in kinds if kind.reader}
        return {name: store for name, store in found.items() if store is not None}


if TYPE_CHECKING:
    Stores = StoresBase
else:
    Stores = create_model(
        "Stores",
        __base__=StoresBase,
        __doc__="The stores that can be asked, by the kind of sink that writes each.",
        **{kind.name: (kind.store_settings | None, None) for kind in sink_kinds().values() if kind.reader},
    )


class RateLimitSettings(SettingsModel):
    """How often a client may ask."""

    requests: Annotated[int, Field(ge=1)] = Field(description="Requests of a client within the time.")
    seconds: Annotated[int, Field(ge=1)] = Field(description="That time.")


class ApiSettings(Settings):
    """The query API, and whatever else asks the stores."""

    symbols: list[str] = Field(description="The pipeline's symbols, as exchange:SYMBOL.")
    patterns: list[str] = Field(default_factory=list, description="Names of the pipeline's patterns of alerts.")
    windows: list[str] = Field(description="Candle intervals that exist.")
    feeds: list[Feed] = Field(default_factory=list, description="What the pipeline subscribes to.")
    stores: Stores = Field(default_factory=Stores, description="Stores to ask, by the kind of sink.")
    max_rows: Annotated[int, Field(ge=1)] = Field(default=5_000, description="Largest `limit` of a query.")
    rate_limit: RateLimitSettings | None = Field(default=None, description="How often a client may ask; None: always.")
    keys_folder: Path | None = Field(
        default=None, description="Folder with a file for each client: its name, and in it its API key."
    )
    tls_folder: Path | None = Field(default=None, description="Folder with tls.crt and tls.key; without it plain HTTP.")
    cors_origins: list[str] = Field(default_factory=list, description="Origins whose pages may ask; `*` is all.")
    cors_max_age_ms: Milliseconds = Field(default=600_000, description="How long a browser keeps that answer.")
    trusted_proxies: list[str] = Field(
        default_factory=list, description="Addresses and networks whose X-Forwarded-For is believed."
    )
    health_port: int | None = Field(
        default=None, description="Port for health and metrics over plain HTTP, beside one that serves HTTPS."
    )
    kafka: KafkaSettings | None = Field(default=None, description="The broker that is streamed from; none, no stream.")
    topic_prefix: str = Field(default="", description="First part of every topic's name.")
    max_stream_readers: Annotated[int, Field(ge=1)] = Field(
        default=2_000, description="Readers of the stream at the most; each more is told to come again."
    )


class ApiAccess(SettingsModel):
    """How the query API is reached."""

    url: str = Field(description="Its address, without a path: http://host:port, or https.")
    key: SecretStr | None = Field(default=None, description="API key; none where the API asks for none.")
    ca: str | None = Field(
        default=None, description="Certificate authorities to trust, PEM text; the well-known ones when absent."
    )


class DashboardSettings(Settings):
    """The page in the browser."""

    api: ApiAccess
    symbols: list[str] = Field(description="The symbols that the pipeline follows.")
    patterns: list[str] = Field(default_factory=list, description="Names of the pipeline's patterns of alerts.")
    windows: list[str] = Field(description="Candle intervals that exist.")
    feeds: list[Feed] = Field(description="What the pipeline subscribes to.")


class TiersSettings(ApiSettings):
    """The daily job that moves the history from tier to tier."""

    warm_days: dict[str, Annotated[float, Field(gt=0, le=99_999)]] = Field(
        default_factory=dict,
        description="Days after which rows leave the database, once the archive has them, by table group: trades, "
        "book, candles, alerts, events; one that is absent stays.",
    )
    cold_days: Annotated[float, Field(gt=0, le=99_999)] | None = Field(
        default=None, description="Days that the archive keeps rows; for ever without it."
    )
    grace_ms: Milliseconds = Field(
        default=30_000,
        description="Time from the note that a day is archived to the dropping of its rows: longer than any question "
        "takes to begin.",
    )


class PlaceSettings(SettingsModel):
    """A folder on S3 or of this machine."""

    url: str = Field(description="s3://bucket/path or file:///path.")
    endpoint: str | None = Field(default=None, description="Address of what speaks S3; AWS without it.")
    region: str | None = Field(default=None, description="Region of the bucket.")
    path_style: bool = Field(default=False, description="Whether the bucket is in the path, not in the host's name.")
    access_key_id: SecretStr | None = Field(default=None, description="Key; the process's own identity without it.")
    secret_access_key: SecretStr | None = Field(default=None, description="The key's secret.")


class BackupSettings(Settings):
    """A backup, or the recovery from one."""

    kafka: KafkaSettings
    topic_prefix: str = Field(description="First part of every topic's name.")
    consumer_group: str = Field(description="Group of the database's sink; its offsets are what the database has.")
    stores: Stores = Field(description="The database.")
    place: PlaceSettings = Field(description="Where backups go; of a recovery the one that is read.")
    state: PlaceSettings | None = Field(
        default=None, description="The job's checkpoint directory, whose newest savepoint that is kept goes along."
    )
    keep: Annotated[int, Field(ge=1)] = Field(default=7, description="How many backups are kept.")
    recover: bool = Field(default=False, description="Whether to fill the database from the backup, once.")


class SimulatorSettings(Settings):
    """The exchange that is always there: a simulated market, or a replay of captures."""

    pipeline: str = Field(default="simulator", description="Name for logs and metrics.")
    http: HttpSettings = HttpSettings(host="127.0.0.1", port=9443)
    exchange: str | None = Field(
        default=None, description="Name of the exchange whose protocols are served; the first one without it."
    )
    captures: list[str] = Field(
        default_factory=list, description="Capture files to replay; a market is simulated without any."
    )
    other_exchanges: list[str] = Field(
        default_factory=list,
        description="Exchanges of the same run, each with a simulator of its own: their captures are left to these.",
    )
    speed: float | None = Field(
        default=1.0, gt=0, description="How many times as fast as it was; null is as fast as the readers take it."
    )
    settle_ms: Milliseconds = Field(
        default=1_000,
        description="Time without a new subscription after which a replay starts, if a stream lacks a reader.",
    )
    symbols: list[str] = Field(default_factory=list, description="Symbols of the simulated market.")
    more_symbols: Annotated[int, Field(ge=0)] = Field(
        default=0, description="How many well-known symbols the simulated market has beside those, so far as there are."
    )
    seed: int = Field(default=1, description="Seed of the simulated market; the same seed is the same market.")
    start_time: int | None = Field(
        default=None, description="Exchange time at which the simulated market begins, in microseconds; now without it."
    )
    scenarios: list[str] = Field(
        default_factory=list, description="What happens in the simulated market, each NAME[:KEY=VALUE,…][@TIME]."
    )
    faults: list[str] = Field(
        default_factory=list, description="What goes wrong on the wire, each NAME[:KEY=VALUE,…]@TIME."
    )
    connection_lifetime_ms: Milliseconds | None = Field(
        default=None, description="Age at which a connection is closed; the real exchange's own without it."
    )
    ping_interval_ms: Milliseconds | None = Field(
        default=None, description="Time between pings to a client; the real exchange's own without it."
    )
    pong_timeout_ms: Milliseconds | None = Field(
        default=None, description="Time a client has to answer a ping; the real exchange's own without it."
    )
    weight_per_minute: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="REST weight that an address may use; the real exchange's own without it."
    )
    trade_history: Annotated[int, Field(ge=1_000)] = Field(
        default=50_000, description="Trades of a symbol that REST can still be asked for."
    )
    memory_bytes: Annotated[int, Field(ge=0)] = Field(
        default=256 << 20,
        description="Captures that unpack to more are read twice, once to check them and once as they are replayed.",
    )
