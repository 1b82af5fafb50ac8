"""The history, in TimescaleDB or PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from marketpipeline.schema import Url, seconds
from marketpipeline.sink_kinds.kind import (
    SECURED,
    ReadRank,
    SecuredSinkSpec,
    SecuredStoreSettings,
    SinkJob,
    SinkKind,
    SinkSettings,
)
from marketpipeline.store import TIMESCALE_TOPICS

if TYPE_CHECKING:
    from marketpipeline.spec import MarketPipeline

__all__ = ["SINK", "TimescaleSinkSettings", "TimescaleSinkSpec", "TimescaleStoreSettings"]

_DAY = 86_400
_URL = Url("postgresql", shape="postgresql://user@host[:port]/database")


class TimescaleSinkSpec(SecuredSinkSpec):
    """History in TimescaleDB, or in plain PostgreSQL, where hypertables and their policies are left out."""

    url: Annotated[str, StringConstraints(max_length=2048), _URL] = Field(
        default="postgresql://marketpipeline@timescaledb:5432/marketpipeline",
        description="Address of the database, without the password.",
    )
    batch_rows: Annotated[int, Field(ge=1, le=20_000)] = Field(
        default=5_000, description="Rows after which a batch is written."
    )


class TimescaleStoreSettings(SecuredStoreSettings):
    """Address of the database and how long it keeps rows."""

    url: str = Field(description="postgresql:// URL without a password.")
    retention_days: dict[str, Annotated[float, Field(gt=0, le=99_999)]] = Field(
        default_factory=dict,
        description="Days that rows are kept, by table group: trades, book, candles, alerts, events; one that is "
        "absent is kept for ever.",
    )
    compress_after_days: float = Field(default=2, description="Age in days at which a chunk is compressed.")


class TimescaleSinkSettings(SinkSettings):
    """The sink into TimescaleDB or PostgreSQL."""

    store: TimescaleStoreSettings


def _store(pipeline: MarketPipeline, sink: TimescaleSinkSpec) -> TimescaleStoreSettings:
    """With an archive nothing is dropped by itself: the job that archives drops what the archive has."""
    tables = pipeline.spec.retention.tables
    return TimescaleStoreSettings(
        url=sink.url,
        retention_days={} if pipeline.spec.sinks.has_archive else tables.days,
        compress_after_days=seconds(tables.compress_after) / _DAY,
    )


SINK = SinkKind(
    name="timescale",
    title="TimescaleDB or PostgreSQL",
    spec=TimescaleSinkSpec,
    settings=TimescaleSinkSettings,
    store=_store,
    topics=TIMESCALE_TOPICS,
    sink="marketpipeline.sinks.timescale:from_settings",
    summary="Write the topics to TimescaleDB or PostgreSQL.",
    extra="timescale",
    secrets=SECURED,
    server="marketpipeline.local.components.postgres:in_state",
    reader="marketpipeline.readers.timescale:TimescaleReader",
    rank=ReadRank.HISTORY,
    jobs=(
        SinkJob(
            name="maintenance",
            target="marketpipeline.sinks.timescale.maintenance:run",
            summary="Drop what is older than its retention, where the database does not do it by itself.",
            schedule="0 3 * * *",
            timeout_seconds=3600,
        ),
    ),
)
