"""The history for analysts, in ClickHouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, get_args

from pydantic import Field, StringConstraints

from marketpipeline.record_kinds import RetentionGroup
from marketpipeline.schema import (
    FOREVER,
    Duration,
    SettingsModel,
    SpecModel,
    TextRule,
    TextRules,
    Url,
    seconds,
)
from marketpipeline.sink_kinds.kind import (
    SECURED,
    ReadRank,
    SecuredSinkSpec,
    SecuredStoreSettings,
    SinkKind,
    SinkSettings,
)
from marketpipeline.store import TIMESCALE_TOPICS

if TYPE_CHECKING:
    from marketpipeline.spec import MarketPipeline

__all__ = [
    "SINK",
    "ClickHouseCluster",
    "ClickHouseClusterSpec",
    "ClickHouseSinkSettings",
    "ClickHouseSinkSpec",
    "ClickHouseStoreSettings",
]

_URL = Url("http", "https", path="/[A-Za-z_][A-Za-z0-9_]{0,62}", shape="http://user@host[:port]/database")
_PLACE = TextRules(
    TextRule(r"^/[-A-Za-z0-9_/{}.]*$", "must be a path in Keeper: /clickhouse/tables/{shard}/{database}/{table}"),
    TextRule(r"\{table\}", "must hold {table}: each table has a place of its own"),
)
_REPLICA = TextRules(TextRule(r"^[-A-Za-z0-9_{}.]+$", "must be a name, or a macro of the servers: {replica}"))


class ClickHouseClusterSpec(SpecModel):
    """A cluster of one shard: each table is made on every server of it, and replicated through Keeper."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=63)] = Field(
        description="Name of the cluster in the servers' configuration.", examples=["default"]
    )
    path: Annotated[str, StringConstraints(max_length=253), _PLACE] = Field(
        default="/clickhouse/tables/{shard}/{database}/{table}",
        description="Where in Keeper the replicas of a table meet; macros of the servers stand in braces.",
    )
    replica: Annotated[str, StringConstraints(max_length=253), _REPLICA] = Field(
        default="{replica}", description="Name of a server's own replica; macros stand in braces."
    )
    quorum: Annotated[int, Field(ge=1, le=9)] = Field(
        default=1,
        description="Replicas that must have a batch before it counts as stored; with 2 the loss of one loses nothing.",
    )


class ClickHouseSinkSpec(SecuredSinkSpec):
    """History in ClickHouse, for analysts."""

    url: Annotated[str, StringConstraints(max_length=2048), _URL] = Field(
        default="http://marketpipeline@clickhouse:8123/marketpipeline",
        description="Address of the server's HTTP interface, with the user and the database, without the password.",
    )
    cluster: ClickHouseClusterSpec | None = Field(
        default=None, description="The cluster that keeps replicas; absent for a server of its own."
    )
    batch_rows: Annotated[int, Field(ge=1, le=20_000)] = Field(
        default=20_000, description="Rows after which a batch is written."
    )
    flush_interval: Duration = Field(
        default="500ms",
        description="Time after which a smaller batch is written; each is a part of a table that has to be merged.",
    )


class ClickHouseCluster(SettingsModel):
    """As the spec's."""

    name: str = Field(description="Name of the cluster.")
    path: str = Field(description="Where in Keeper the replicas of a table meet.")
    replica: str = Field(description="Name of a server's own replica.")
    quorum: int = Field(default=1, description="Replicas that must have a batch.")


class ClickHouseStoreSettings(SecuredStoreSettings):
    """Address of the database and how long it keeps rows."""

    url: str = Field(description="http:// or https:// URL with user and database, without a password.")
    cluster: ClickHouseCluster | None = Field(default=None, description="The cluster that keeps replicas.")
    retention_seconds: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict,
        description="Seconds that rows are kept, by the tables' group; one that is absent is kept for ever.",
    )


class ClickHouseSinkSettings(SinkSettings):
    """The sink into ClickHouse."""

    store: ClickHouseStoreSettings


def _store(pipeline: MarketPipeline, sink: ClickHouseSinkSpec) -> ClickHouseStoreSettings:
    tables = pipeline.spec.retention.tables
    kept = {group: getattr(tables, group) for group in get_args(RetentionGroup)}
    return ClickHouseStoreSettings(
        url=sink.url,
        cluster=None if sink.cluster is None else ClickHouseCluster(**sink.cluster.model_dump()),
        retention_seconds={group: max(1, round(seconds(time))) for group, time in kept.items() if time != FOREVER},
    )


SINK = SinkKind(
    name="clickhouse",
    title="ClickHouse",
    spec=ClickHouseSinkSpec,
    settings=ClickHouseSinkSettings,
    store=_store,
    topics=TIMESCALE_TOPICS,
    sink="marketpipeline.sinks.clickhouse:from_settings",
    summary="Write the topics to ClickHouse.",
    extra="clickhouse",
    secrets=SECURED,
    server="marketpipeline.local.components.clickhouse:in_state",
    server_extra="clickhouse-server",
    reader="marketpipeline.readers.clickhouse:ClickHouseReader",
    rank=ReadRank.HISTORY,
    opt_in=True,
    in_replay={"retention_seconds": {}},
)
