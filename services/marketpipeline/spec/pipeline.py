"""The `MarketPipeline` resource, v1alpha1: what a user writes, and nothing else."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from marketpipeline.alert_kinds import watched_alerts
from marketpipeline.schema import PodTemplate, SpecModel, microseconds
from marketpipeline.sink_kinds import sink_kinds
from marketpipeline.spec.backup import BACKED_UP, NEEDS_A_DATABASE, Backup, Recovery
from marketpipeline.spec.market import BookSource, Depth, Window
from marketpipeline.spec.patterns import Pattern, sequence_name
from marketpipeline.spec.platform import (
    Api,
    Broker,
    Dashboard,
    DeletionPolicy,
    Hibernation,
    Ingestion,
    Maintenance,
    Processing,
    Retention,
    TopicProvider,
)
from marketpipeline.spec.selectors import Selector, is_selector, selector_of, selectors_in
from marketpipeline.spec.sinks import FEEDS_NEEDED, Sinks, needs_a_feed
from marketpipeline.spec.thresholds import Thresholds
from marketpipeline.topics import Feed
from marketpipeline.venues import split_symbol, venues

__all__ = [
    "API_NEEDS_A_SINK",
    "API_VERSION",
    "DASHBOARD_NEEDS_A_KEY",
    "DASHBOARD_NEEDS_THE_API",
    "KIND",
    "RAW_NEEDS_A_FEED",
    "MarketPipeline",
    "Metadata",
    "PipelineSpec",
]

API_VERSION = "marketpipeline.dev/v1alpha1"
KIND = "MarketPipeline"


API_NEEDS_A_SINK = "api.enabled needs at least one sink: set {} to true, or api.enabled to false".format(
    " or ".join(f"sinks.{kind.name}.enabled" for kind in sink_kinds().values() if kind.answers)
)
RAW_NEEDS_A_FEED = "feeds: raw keeps what comes for other feeds; name at least one of them beside it"

DASHBOARD_NEEDS_THE_API = "dashboard.enabled needs the API: set api.enabled to true, or dashboard.enabled to false"
DASHBOARD_NEEDS_A_KEY = "dashboard.apiKeySecret is needed with api.auth.secretName: name an entry of that Secret"


def _check_exchange(text: str) -> str:
    exchange, _ = split_symbol(text)
    if exchange not in (known := venues()):
        raise ValueError(f"unknown exchange {exchange!r}; known: {', '.join(sorted(known))}")
    return text


def _check_symbol(symbol: str) -> str:
    exchange, name = split_symbol(_check_exchange(symbol))
    if is_selector(symbol):
        return selector_of(symbol).text
    venue = venues()[exchange]
    if not venue.accepts(name):
        raise ValueError(f"{name!r} is not a symbol of {exchange}; write it like {exchange}:{venue.symbol_example}")
    return symbol


def _check_pattern(pattern: str) -> str:
    exchange, name = split_symbol(_check_exchange(pattern))
    if name.startswith("top-") or not ("*" in name or venues()[exchange].accepts(name)):
        example = venues()[exchange].symbol_example
        raise ValueError(f"{name!r} must be a symbol of {exchange}, like {example}, or a pattern, like {example[:3]}*")
    return pattern


# Whatever an exchange may call an instrument; not what separates names in a list or in the path of a URL.
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+:[^\x00-\x20\x7f,/]+$", max_length=64)]
Symbol = Annotated[_Name, AfterValidator(_check_symbol)]
SymbolPattern = Annotated[_Name, AfterValidator(_check_pattern)]


class PipelineSpec(SpecModel):
    """The desired pipeline. Only `symbols` is required."""

    symbols: Annotated[list[Symbol], Field(min_length=1, max_length=1000)] = Field(
        description="Instruments to follow, each as exchange:SYMBOL, e.g. binance:BTCUSDT. An entry may stand for many "
        "that the exchange lists: binance:*USDT for a form of name, binance:top-20-USDT for the most traded.",
        examples=[["binance:BTCUSDT", "binance:ETHUSDT"]],
    )
    exclude: Annotated[list[SymbolPattern], Field(max_length=200)] = Field(
        default=[],
        description="What entries of `symbols` that stand for many leave out: symbols and patterns. What is named "
        "in `symbols` is followed all the same.",
        examples=[["binance:USDCUSDT", "binance:*DOWNUSDT"]],
    )
    max_symbols: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=200,
        description="Symbols that the entries which stand for many may grow to, all of them together.",
    )
    depth: Depth = Field(
        default_factory=Depth,
        description="How much of the order book is kept and measured.",
    )
    thresholds: Thresholds = Field(default_factory=Thresholds, description="When an alert fires.")
    patterns: Annotated[list[Pattern], Field(max_length=50)] = Field(
        default=[],
        description="Sequences of alerts that are alerts of their own. A change is in force without a restart.",
    )
    feeds: Annotated[list[Feed], Field(min_length=1, max_length=len(Feed))] = Field(
        default=[Feed.BOOK, Feed.TRADES, Feed.QUOTES],
        description="Market data to ask the exchanges for. Candles and trade alerts need `trades`, ratios need `book`. "
        "`raw` keeps what comes for the others as it came, on a topic of its own.",
    )
    windows: Annotated[list[Window], Field(max_length=len(get_args(Window)))] = Field(
        default=["1m", "5m", "15m", "1h"],
        description="Intervals of the candles that are computed from trades.",
    )
    ingestion: Ingestion = Field(default_factory=Ingestion, description="The processes that read the exchanges.")
    broker: Broker = Field(default_factory=Broker, description="The Kafka-compatible broker.")
    processing: Processing = Field(default_factory=Processing, description="The stream job.")
    sinks: Sinks = Field(default_factory=Sinks, description="Where the results are stored.")
    api: Api = Field(default_factory=Api, description="The query API.")
    dashboard: Dashboard = Field(default_factory=Dashboard, description="A page in the browser, over the API.")
    pods: PodTemplate | None = Field(
        default=None, description="What all Pods have beside what the operator gives them."
    )
    retention: Retention = Field(default_factory=Retention, description="How long data is kept.")
    backup: Backup | None = Field(default=None, description="Copies of what the pipeline cannot make again.")
    recovery: Recovery | None = Field(default=None, description="The backup that a new pipeline begins with.")
    maintenance: Maintenance = Field(default_factory=Maintenance, description="When restarts that can wait are done.")
    hibernation: Hibernation | None = Field(
        default=None, description="When it is suspended and resumed by itself, on a cluster. `suspend` wins."
    )
    suspend: bool = Field(
        default=False,
        description="Stop everything and keep the data; the job stops with a savepoint and resumes from it.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.RETAIN,
        description="What becomes of the topics when the pipeline is deleted: `Retain` keeps, `Delete` removes them.",
    )

    @field_validator("symbols", "exclude", "feeds", "windows")
    @classmethod
    def _no_duplicates(cls, values: list[str]) -> list[str]:
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands more than once; name each once")
        return values

    @model_validator(mode="after")
    def _fields_agree(self) -> PipelineSpec:
        partial = self.depth.source is BookSource.PARTIAL and Feed.BOOK in self.feeds
        for exchange in self.exchanges:
            venue = venues()[exchange]
            missing = sorted(set(self.feeds) - venue.feeds - {Feed.RAW})
            if missing:
                raise ValueError(
                    f"feeds: {exchange} does not offer {', '.join(missing)}; it has {', '.join(sorted(venue.feeds))}"
                )
            offered = venue.book_levels
            if partial and self.depth.levels not in offered:
                raise ValueError(
                    f"depth.levels ({self.depth.levels}) must be one of {', '.join(map(str, offered))} "
                    f"with depth.source partial on {exchange}"
                )
        if set(self.feeds) == {Feed.RAW}:
            raise ValueError(RAW_NEEDS_A_FEED)
        self._check_patterns()
        self._check_selection()
        if (self.backup or self.recovery) and BACKED_UP not in [kind.name for kind, _ in self.sinks.enabled()]:
            raise ValueError(NEEDS_A_DATABASE)
        if self.windows and microseconds(self.processing.allowed_lateness) >= min(map(microseconds, self.windows)):
            raise ValueError(
                f"processing.allowedLateness ({self.processing.allowed_lateness}) must be below the smallest window"
            )
        if self.broker.password_secret and not self.broker.username:
            raise ValueError("broker.username is needed with broker.passwordSecret")
        if not self.broker.tls and (self.broker.ca_secret or self.broker.client_certificate_secret):
            raise ValueError("broker.tls must be true with broker.caSecret or broker.clientCertificateSecret")
        if self.broker.provider in (TopicProvider.REDPANDA, TopicProvider.STRIMZI) and not self.broker.cluster:
            raise ValueError(f"broker.cluster is needed with broker.provider {self.broker.provider.value}")
        if self.broker.namespace and not self.broker.cluster:
            raise ValueError("broker.cluster is needed with broker.namespace")
        if self.api.enabled and not any(kind.answers for kind, _ in self.sinks.enabled()):
            raise ValueError(API_NEEDS_A_SINK)
        for kind, _ in self.sinks.enabled():
            if (needed := FEEDS_NEEDED.get(kind.name)) and not set(needed) & set(self.feeds):
                raise ValueError(needs_a_feed(kind.name))
        if self.dashboard.enabled and not self.api.enabled:
            raise ValueError(DASHBOARD_NEEDS_THE_API)
        if self.dashboard.enabled and self.api.auth.secret_name and not self.dashboard.api_key_secret:
            raise ValueError(DASHBOARD_NEEDS_A_KEY)
        return self

    def _check_selection(self) -> None:
        selectors = self.selectors
        if strange := [
            symbol
            for symbol in sorted(self.thresholds.overrides.keys() - set(self.named))
            if is_selector(symbol) or not any(selector.may_choose(symbol) for selector in selectors)
        ]:
            raise ValueError(
                f"thresholds.overrides: {', '.join(strange)} must be among the symbols: {', '.join(self.symbols[:10])}"
            )

    def _check_patterns(self) -> None:
        taken = {*watched_alerts()}
        for number, pattern in enumerate(self.patterns):
            if pattern.name in taken:
                raise ValueError(
                    f"patterns[{number}].name ({pattern.name}) is the name of another alert; choose another"
                )
            taken.add(pattern.name)
            for kind in watched_alerts().values():
                if sequence_name(kind.name) in pattern.sequence and kind.feed not in self.feeds:
                    raise ValueError(
                        f"patterns[{number}].sequence: {sequence_name(kind.name)} needs `{kind.feed.value}` in feeds"
                    )

    @property
    def exchanges(self) -> list[str]:
        """The exchanges that the symbols name, sorted."""
        return sorted({split_symbol(symbol)[0] for symbol in self.symbols})

    @property
    def named(self) -> list[str]:
        """The symbols that are written out."""
        return [symbol for symbol in self.symbols if not is_selector(symbol)]

    @property
    def selectors(self) -> list[Selector]:
        """What of `symbols` stands for many."""
        return selectors_in(self.symbols)


class Metadata(SpecModel):
    """What of Kubernetes' object metadata this project uses; the rest is accepted and left alone."""

    model_config = SpecModel.model_config | {"extra": "ignore"}

    name: Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=40)] = Field(
        description="Name of the pipeline: a to z, 0 to 9 and -, at most 40 characters."
    )
    namespace: str | None = Field(default=None, description="Namespace on a cluster.")
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class MarketPipeline(SpecModel):
    """The whole resource, as `kubectl apply` and `marketpipeline run` take it.

    `status` is what the operator wrote, accepted so that `kubectl get -o yaml` can be fed back.
    """

    api_version: Literal["marketpipeline.dev/v1alpha1"]
    kind: Literal["MarketPipeline"]
    metadata: Metadata
    spec: PipelineSpec
    status: dict[str, object] | None = Field(default=None, exclude=True)

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.metadata.name

    @property
    def topic_prefix(self) -> str:
        """First part of every topic's name."""
        return self.spec.broker.topic_prefix or self.metadata.name
