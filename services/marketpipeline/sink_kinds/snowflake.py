"""The warehouse for a data team: what is computed, and the book as samples, in Snowflake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, SecretStr, StringConstraints

from marketpipeline.schema import (
    Duration,
    Milliseconds,
    Resources,
    SecretKey,
    SecretKeyName,
    SpecModel,
    memory_bytes,
    milliseconds,
)
from marketpipeline.sink_kinds.kind import SinkKind, SinkSettings, SinkSpec, StoreSettings
from marketpipeline.store.snowflake import SNOWFLAKE_TOPICS, Period, warehoused

if TYPE_CHECKING:
    from marketpipeline.spec import MarketPipeline
    from marketpipeline.topics import TopicKind

__all__ = ["SINK", "SnowflakeSinkSettings", "SnowflakeSinkSpec", "SnowflakeStoreSettings"]

_RECORD_BYTES = 800
"""Of a record that is held, with its key and place."""

Account = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*([-.][A-Za-z0-9_-]+)*$", max_length=255)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_$]*$", max_length=255)]
"""A name that needs no quotes: Snowflake takes it in any case."""
User = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@$-]*$", max_length=255)]


class KeyPair(SecretKey):
    """Where the private key of the user is, PEM text in PKCS #8, as `openssl pkcs8` writes it."""

    key: SecretKeyName = Field(default="rsa_key.p8", description="Key within the Secret.")


class BookSampling(SpecModel):
    """How book metrics are made fewer: of each symbol and window the last ones and the extremes."""

    every: Period = Field(default="1s", description="Length of the windows.")


class SnowflakeSinkSpec(SinkSpec):
    """Candles, trade statistics, alerts and feed events in Snowflake, and samples of the book's metrics. A cluster
    needs `account` and `privateKeySecret`; one machine runs an emulation (fakesnow) and takes neither."""

    account: Account | None = Field(
        default=None,
        description="Identifier of the account: organization-account, with .privatelink where that is used.",
        examples=["myorg-myaccount"],
    )
    user: User = Field(default="MARKETPIPELINE", description="User that logs in, by its key.", examples=["LOADER"])
    private_key_secret: KeyPair | None = Field(default=None, description="Where the user's private key is.")
    private_key_passphrase_secret: SecretKey | None = Field(
        default=None, description="Where the passphrase of that key is; absent for a key that is not encrypted."
    )
    role: Identifier = Field(
        default="MARKETPIPELINE",
        description="Role that the user works under; it needs USAGE of warehouse and database and, in the schema, the "
        "rights to make tables and stages.",
        examples=["LOADER"],
    )
    warehouse: Identifier = Field(
        default="MARKETPIPELINE",
        description="Warehouse that loads the batches; X-SMALL with AUTO_SUSPEND = 60 is enough.",
        examples=["LOADING"],
    )
    database: Identifier = Field(default="MARKETPIPELINE", description="Database; it has to be there.", examples=["MD"])
    schema_name: Identifier = Field(
        default="PUBLIC", alias="schema", description="Schema of the tables; it has to be there.", examples=["CRYPTO"]
    )
    hold: Duration = Field(
        default="10m",
        description="Time between two batches, in which the warehouse suspends; until then it does not have the rows, "
        "and a restart reads them again from the topics.",
    )
    book_metrics: BookSampling = Field(default_factory=BookSampling, description="Samples of the book's metrics.")
    trades: bool = Field(default=False, description="Whether every trade is written too, and not their candles alone.")
    batch_rows: Annotated[int, Field(ge=1, le=20_000)] = Field(
        default=5_000, description="Rows after which a batch is taken over from the topics."
    )
    flush_interval: Duration = Field(default="1s", description="Time after which a smaller batch is taken over.")
    resources: Resources = Field(
        default_factory=lambda: Resources(memory="1Gi"),
        description="Compute of each process; a quarter of the memory is what rows are gathered in.",
    )


class SnowflakeStoreSettings(StoreSettings):
    """Where the tables are, who writes them, and how often."""

    account: str | None = Field(default=None, description="Identifier of the account.")
    address: str | None = Field(default=None, description="URL of a server in place of the account's own.")
    user: str = Field(description="User that logs in.")
    private_key: SecretStr | None = Field(default=None, description="Its private key, PEM text (PKCS #8).")
    private_key_passphrase: SecretStr | None = Field(default=None, description="The passphrase of that key.")
    role: str = Field(description="Role that the user works under.")
    warehouse: str = Field(description="Warehouse that loads the batches.")
    database: str = Field(description="Database of the tables.")
    schema_name: str = Field(description="Schema of the tables.")
    hold_ms: Milliseconds = Field(default=600_000, description="Time between two batches.")
    hold_rows: Annotated[int, Field(ge=1)] = Field(
        default=300_000, description="Rows that are gathered at the most; as many are written at once."
    )
    book_every: Period = Field(default="1s", description="Length of the windows of the samples.")
    trades: bool = Field(default=False, description="Whether every trade is written.")


class SnowflakeSinkSettings(SinkSettings):
    """The sink into Snowflake."""

    store: SnowflakeStoreSettings
    drain_timeout_ms: Milliseconds = Field(default=120_000, description="Longest time to finish when told to stop.")


def _store(pipeline: MarketPipeline, sink: SnowflakeSinkSpec) -> SnowflakeStoreSettings:
    return SnowflakeStoreSettings(
        account=sink.account,
        user=sink.user,
        role=sink.role,
        warehouse=sink.warehouse,
        database=sink.database,
        schema_name=sink.schema_name,
        hold_ms=milliseconds(sink.hold),
        hold_rows=max(1_000, memory_bytes(sink.resources.memory) // 4 // _RECORD_BYTES),
        book_every=sink.book_metrics.every,
        trades=sink.trades,
    )


def _reads(store: Any) -> frozenset[TopicKind]:
    return frozenset(table.topic for table in warehoused(trades=store["trades"]))


SINK = SinkKind(
    name="snowflake",
    title="Snowflake",
    spec=SnowflakeSinkSpec,
    settings=SnowflakeSinkSettings,
    store=_store,
    topics=SNOWFLAKE_TOPICS,
    reads=_reads,
    sink="marketpipeline.sinks.snowflake:from_settings",
    summary="Write what is computed to Snowflake.",
    extra="snowflake",
    secrets={
        "private_key": "private_key_secret",
        "private_key_passphrase": "private_key_passphrase_secret",
    },
    cluster_needs=("account", "private_key_secret"),
    server="marketpipeline.local.components.snowflake:in_state",
    server_extra="snowflake-server",
    opt_in=True,
    in_replay={"hold_ms": 5_000},
)
