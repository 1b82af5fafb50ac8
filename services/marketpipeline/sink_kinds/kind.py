"""What an entry of the registry of sinks says, and the base of the models that it brings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, SecretStr

from marketpipeline.schema import (
    CertificateKey,
    ClientCertificate,
    Duration,
    KafkaSettings,
    Milliseconds,
    PodTemplate,
    Resources,
    SecretKey,
    Settings,
    SettingsModel,
    SinkScaling,
    SpecModel,
)
from marketpipeline.topics import TopicKind

if TYPE_CHECKING:
    from marketpipeline.spec import MarketPipeline

__all__ = [
    "SECURED",
    "ReadRank",
    "SecuredSinkSpec",
    "SecuredStoreSettings",
    "SinkJob",
    "SinkKind",
    "SinkSettings",
    "SinkSpec",
    "StoreSettings",
]

_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_LONGEST_JOB = 11
"""A CronJob's name is a pipeline's, of up to 40 characters, a hyphen and the job's: 52 are the most."""


class SinkSpec(SpecModel):
    """Base of `spec.sinks.<name>`: what every sink can be told. A kind adds its own fields and changes defaults.

    The largest batch fits in the default memory (docs/decisions/0092); a kind that raises the one raises the other.
    """

    enabled: bool = Field(default=True, description="Whether this sink runs.")
    batch_rows: Annotated[int, Field(ge=1, le=20_000)] = Field(
        default=1_000, description="Rows after which a batch is written."
    )
    flush_interval: Duration = Field(default="200ms", description="Time after which a smaller batch is written.")
    replicas: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="Processes of this sink.")
    scaling: SinkScaling | None = Field(
        default=None, description="Lets the operator choose their number on a cluster, from `replicas` on."
    )
    resources: Resources = Field(default_factory=Resources, description="Compute of each process.")
    pod: PodTemplate | None = Field(
        default=None, description="What their Pods have beside it, over what `pods` says for all."
    )


class SecuredSinkSpec(SinkSpec):
    """Base of `spec.sinks.<name>` of a store with a user, which may be reached over TLS."""

    password_secret: SecretKey | None = Field(default=None, description="Where the user's password is.")
    ca_secret: CertificateKey | None = Field(
        default=None,
        description="Where the certificate authority of the store is, in PEM form. With it the connection is one of "
        "TLS, and the store's certificate has to be of its name.",
    )
    client_certificate_secret: ClientCertificate | None = Field(
        default=None, description="Where the certificate of the clients is, for a store that asks for one."
    )


class StoreSettings(SettingsModel):
    """Base of what a process is told of a store: its address, credentials, and how long it keeps what."""


class SecuredStoreSettings(StoreSettings):
    """Base of the same for a `SecuredSinkSpec`."""

    password: SecretStr | None = Field(default=None, description="The user's password.")
    ca: str | None = Field(
        default=None, description="Certificate authorities to trust, PEM text; with it the connection is one of TLS."
    )
    certificate: str | None = Field(default=None, description="Certificate (chain) of this client, PEM text.")
    key: SecretStr | None = Field(default=None, description="Its private key, PEM text.")


SECURED: Mapping[str, str] = MappingProxyType(
    {
        "password": "password_secret",
        "ca": "ca_secret",
        "certificate": "client_certificate_secret",
        "key": "client_certificate_secret",
    }
)
"""`SinkKind.secrets` of a `SecuredSinkSpec`."""


class SinkSettings(Settings):
    """What every sink's process is told: where it reads and how it batches. A kind adds `store`, its StoreSettings."""

    kafka: KafkaSettings
    topic_prefix: str = Field(description="First part of every topic's name.")
    consumer_group: str = Field(description="Consumer group; its committed offsets are what the store has.")
    batch_rows: Annotated[int, Field(ge=1)] = Field(description="Rows after which a batch is written.")
    flush_interval_ms: Milliseconds = Field(description="Time after which a smaller batch is written.")
    drain_timeout_ms: Milliseconds = Field(default=20_000, description="Longest time to finish when told to stop.")


class ReadRank(IntEnum):
    """In which order the stores of a pipeline are asked: the one with the newest values first."""

    NEWEST = 0
    HISTORY = 1
    ARCHIVE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkJob:
    """A command that has to run at set times for a store, e.g. its clean-up.

    `target` is `module:function`: it takes the settings of the sink and gives the exit status. `schedule` is in cron's
    form, UTC.
    """

    name: str
    target: str
    summary: str
    schedule: str
    timeout_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkKind:
    """One kind of sink.

    `name` is its field in `spec.sinks`; its process, consumer group and image are `sink-<name>`. `title` names the
    store to people. `spec` and `settings` are its models, and `store` makes the store's part of the settings from the
    pipeline and the sink's spec. `topics` is what it reads. `sink` is `module:function`, which makes the `Sink` of
    `marketpipeline.sinks` from the settings, and `extra` the extra of `pyproject.toml` that this module needs.

    A sink that is `opt_in` runs where its section is written, be it empty; another one unless it is disabled.
    `in_replay` are settings of the store while a capture is replayed, whose data is old on purpose: a store that
    expires rows by itself keeps them then.

    `secrets` maps a field of the store's settings to the field of the spec that names the Secret for it (and the key,
    in a field of the same name, where it names several). `server` is
    `module:function` of the server that the platform of one machine runs for it (see `StoreServer` in
    `marketpipeline.local`); without one, or where `has_server` is false of what the spec says, the
    address in the spec is used there too. `server_extra` is the extra that this server needs, where it is too heavy to
    be installed for every run. `reader` is `module:Class` of what answers questions from this store (`Reader` in
    `marketpipeline.readers`), made from its settings, the name of who asks and its patience; `rank` is its place among
    the others. A store without one is only written to. `counters` is `module:Class`, made likewise, of where several
    processes of the API count together what their clients ask.

    `reads` tells, by what the store's settings are in a plan, which of `topics` are read; all without it.
    `cluster_needs` are the fields of the spec without which there is no such store on a cluster, where one machine has
    a server of its own.
    """

    name: str
    title: str
    spec: type[SinkSpec]
    settings: type[SinkSettings]
    store: Callable[[MarketPipeline, Any], StoreSettings]
    topics: frozenset[TopicKind]
    reads: Callable[[Mapping[str, Any]], frozenset[TopicKind]] | None = None
    sink: str
    summary: str
    extra: str
    secrets: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({"password": "password_secret"}))
    server: str | None = None
    server_extra: str | None = None
    opt_in: bool = False
    in_replay: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    has_server: Callable[[Any], bool] = lambda _: True
    cluster_needs: tuple[str, ...] = ()
    reader: str | None = None
    counters: str | None = None
    rank: ReadRank = ReadRank.HISTORY
    jobs: tuple[SinkJob, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for an entry that could not work; it says what is missing, and of which sink."""
        if not re.fullmatch(r"[a-z][a-z0-9]{0,23}", self.name):
            raise ValueError(f"sink {self.name!r}: the name must be 1 to 24 of a to z and 0 to 9, a letter first")
        for target in (self.sink, self.server, self.reader, self.counters, *(job.target for job in self.jobs)):
            if target is not None and not _TARGET.fullmatch(target):
                raise ValueError(f"sink {self.name}: {target!r} must have the form module:name")
        held = self.settings.model_fields.get("store")
        if held is None or not (isinstance(held.annotation, type) and issubclass(held.annotation, StoreSettings)):
            raise ValueError(f"sink {self.name}: {self.settings.__name__} lacks a field `store` of a StoreSettings")
        for job in self.jobs:
            if len(job.name) > _LONGEST_JOB:
                raise ValueError(f"sink {self.name}: job {job.name!r}: its name has at most {_LONGEST_JOB} characters")
        for setting, secret in self.secrets.items():
            if setting not in self.store_settings.model_fields:
                raise ValueError(f"sink {self.name}: secrets: {self.store_settings.__name__} has no field {setting!r}")
            if secret not in self.spec.model_fields:
                raise ValueError(f"sink {self.name}: secrets: {self.spec.__name__} has no field {secret!r}")
        for needed in self.cluster_needs:
            if needed not in self.spec.model_fields:
                raise ValueError(f"sink {self.name}: cluster_needs: {self.spec.__name__} has no field {needed!r}")

    @property
    def answers(self) -> bool:
        """Whether its store can be asked for what is newest too: an archive alone serves no API."""
        return self.reader is not None and self.rank is not ReadRank.ARCHIVE

    def topics_read(self, store: Mapping[str, Any]) -> frozenset[TopicKind]:
        """What its process reads, with these settings of the store."""
        return self.topics if self.reads is None else self.reads(store)

    @property
    def component(self) -> str:
        """Name of its process, command, consumer group and image."""
        return f"sink-{self.name}"

    @property
    def components(self) -> tuple[str, ...]:
        """Its process and its jobs: each is a command, and an image of its own."""
        return (self.component, *(job.name for job in self.jobs))

    @property
    def store_settings(self) -> type[StoreSettings]:
        """The model of its `store`."""
        found: Any = self.settings.model_fields["store"].annotation
        model: type[StoreSettings] = found
        return model
