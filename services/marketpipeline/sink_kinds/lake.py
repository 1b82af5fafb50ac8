"""The lake: everything, for good, as Delta tables on S3 or in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, SecretStr, StringConstraints

from marketpipeline.schema import Duration, Milliseconds, Resources, S3Access, Url, memory_bytes, milliseconds
from marketpipeline.sink_kinds.kind import ReadRank, SinkKind, SinkSettings, SinkSpec, StoreSettings
from marketpipeline.store.lake import LAKE_TOPICS

if TYPE_CHECKING:
    from marketpipeline.spec import MarketPipeline

__all__ = ["SINK", "LakeSinkSettings", "LakeSinkSpec", "LakeStoreSettings"]


class LakeSinkSpec(SinkSpec, S3Access):
    """Delta tables on S3 or in a folder, partitioned by exchange and day. Off until `url` is written."""

    url: Annotated[
        str,
        StringConstraints(max_length=1024),
        Url("s3", "file", host=False, path=r"[^\s?#]+", shape="s3://bucket/path or file:///path"),
    ] = Field(
        description="Where the tables are: s3://bucket/path, or file:///path on a volume that every process reaches.",
        examples=["s3://market-data/crypto", "file:///var/lib/marketpipeline/lake"],
    )
    hold: Duration = Field(
        default="1h",
        description="Longest time that rows are gathered before a file is written; until then the lake does not have "
        "them, and a restart reads them again from the topics.",
    )
    batch_rows: Annotated[int, Field(ge=1, le=20_000)] = Field(
        default=5_000, description="Rows after which a batch is taken over from the topics."
    )
    flush_interval: Duration = Field(default="1s", description="Time after which a smaller batch is taken over.")
    resources: Resources = Field(
        default_factory=lambda: Resources(memory="1Gi"),
        description="Compute of each process; a quarter of the memory is what rows are gathered in.",
    )


class LakeStoreSettings(StoreSettings):
    """Where the lake is and how its files are made."""

    url: str = Field(description="s3://bucket/path or file:///path.")
    endpoint: str | None = Field(default=None, description="Address of what speaks S3; AWS without it.")
    region: str | None = Field(default=None, description="Region of the bucket.")
    path_style: bool = Field(default=False, description="Whether the bucket is in the path, not in the host's name.")
    access_key_id: SecretStr | None = Field(default=None, description="Key; the process's own identity without it.")
    secret_access_key: SecretStr | None = Field(default=None, description="The key's secret.")
    hold_ms: Milliseconds = Field(default=3_600_000, description="Longest time that rows are gathered.")
    hold_bytes: Annotated[int, Field(ge=1)] = Field(
        default=256 << 20, description="Memory that rows are gathered in; when it is full the largest table is written."
    )
    file_bytes: Annotated[int, Field(ge=1)] = Field(default=128 << 20, description="Size of a file to aim at.")


class LakeSinkSettings(SinkSettings):
    """The sink into the lake."""

    store: LakeStoreSettings
    drain_timeout_ms: Milliseconds = Field(default=120_000, description="Longest time to finish when told to stop.")


def _store(pipeline: MarketPipeline, sink: LakeSinkSpec) -> LakeStoreSettings:
    return LakeStoreSettings(
        url=sink.url,
        endpoint=sink.endpoint,
        region=sink.region,
        path_style=sink.is_path_style,
        hold_ms=milliseconds(sink.hold),
        hold_bytes=memory_bytes(sink.resources.memory) // 4,
    )


SINK = SinkKind(
    name="lake",
    title="a lake of Delta tables",
    spec=LakeSinkSpec,
    settings=LakeSinkSettings,
    store=_store,
    topics=LAKE_TOPICS,
    sink="marketpipeline.sinks.lake:from_settings",
    summary="Write the topics to Delta tables on S3 or in a folder.",
    extra="lake",
    server="marketpipeline.local.components.seaweed:in_state",
    server_extra="lake-server",
    in_replay={"hold_ms": 60_000},
    has_server=lambda sink: sink.url.startswith("s3://"),
    reader="marketpipeline.readers.lake:LakeReader",
    rank=ReadRank.ARCHIVE,
    secrets={"access_key_id": "credentials_secret", "secret_access_key": "credentials_secret"},
)
