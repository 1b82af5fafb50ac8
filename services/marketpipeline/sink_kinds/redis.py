"""The newest values and the recent alerts, in Redis or Valkey."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from marketpipeline.schema import Duration, Milliseconds, Url, milliseconds
from marketpipeline.sink_kinds.kind import (
    SECURED,
    ReadRank,
    SecuredSinkSpec,
    SecuredStoreSettings,
    SinkKind,
    SinkSettings,
)
from marketpipeline.store import REDIS_TOPICS

if TYPE_CHECKING:
    from marketpipeline.spec import MarketPipeline

__all__ = ["SINK", "RedisSinkSettings", "RedisSinkSpec", "RedisStoreSettings"]


_URL = Url("redis", "rediss", path="(/[0-9]{0,3})?", shape="redis://host[:port][/number of the database]")


class RedisSinkSpec(SecuredSinkSpec):
    """The latest value of each kind per symbol, and the recent alerts, in Redis or Valkey."""

    url: Annotated[str, StringConstraints(max_length=2048), _URL] = Field(
        default="redis://redis:6379/0",
        description="Address of the server, without the password.",
    )
    expiry: Duration = Field(
        default="1h",
        description="Time after which a value that was not renewed is gone.",
    )
    alerts: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=1_000, description="Alerts that the list of recent alerts holds."
    )
    flush_interval: Duration = Field(default="20ms", description="Time after which a smaller batch is written.")


class RedisStoreSettings(SecuredStoreSettings):
    """Address of the cache and how long it keeps values."""

    url: str = Field(description="redis:// URL without a password.")
    prefix: str = Field(description="First part of every key.")
    expiry_ms: Milliseconds = Field(default=3_600_000, description="Life of a value that is not renewed.")
    alerts: Annotated[int, Field(ge=1)] = Field(default=1_000, description="Length of the list of recent alerts.")


class RedisSinkSettings(SinkSettings):
    """The sink into Redis or Valkey."""

    store: RedisStoreSettings


def _store(pipeline: MarketPipeline, sink: RedisSinkSpec) -> RedisStoreSettings:
    return RedisStoreSettings(
        url=sink.url, prefix=pipeline.topic_prefix, expiry_ms=milliseconds(sink.expiry), alerts=sink.alerts
    )


SINK = SinkKind(
    name="redis",
    title="Redis or Valkey",
    spec=RedisSinkSpec,
    settings=RedisSinkSettings,
    store=_store,
    topics=REDIS_TOPICS,
    sink="marketpipeline.sinks.redis:from_settings",
    summary="Keep the latest values and the recent alerts in Redis or Valkey.",
    extra="redis",
    secrets=SECURED,
    server="marketpipeline.local.components.valkey:in_state",
    reader="marketpipeline.readers.redis:RedisReader",
    counters="marketpipeline.readers.redis:RedisCounters",
    rank=ReadRank.NEWEST,
)
