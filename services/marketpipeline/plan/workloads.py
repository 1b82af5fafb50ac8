"""The workloads of a plan: ingestion for each exchange, a process for each sink, the API, and their settings."""

from __future__ import annotations

from typing import Any

from marketpipeline.plan.model import Component, Port, Probe, ScheduledJob, SecretEnv, StreamJob, Workload
from marketpipeline.settings import (
    ENV_PREFIX,
    ApiSettings,
    HttpSettings,
    IngestionSettings,
    JobSettings,
    KafkaSettings,
    RedisSinkSettings,
    RedisStoreSettings,
    Settings,
    ThresholdSettings,
    TimescaleSinkSettings,
    TimescaleStoreSettings,
)
from marketpipeline.spec import BookSource, MarketPipeline, SecretKey, milliseconds, seconds
from marketpipeline.topics import Feed
from marketpipeline.venues import split_symbol, venues

__all__ = ["plan_scheduled_jobs", "plan_stream_job", "plan_workloads"]

HTTP_PORT = 9100
_DAY = 86_400


def plan_workloads(pipeline: MarketPipeline) -> tuple[Workload, ...]:
    """Every long-running process but the stream job."""
    spec = pipeline.spec
    found = [_ingestion(pipeline, exchange) for exchange in spec.exchanges]
    if spec.sinks.timescale.enabled:
        found.append(_timescale_sink(pipeline))
    if spec.sinks.redis.enabled:
        found.append(_redis_sink(pipeline))
    if spec.api.enabled:
        found.append(_api(pipeline))
    return tuple(found)


def plan_stream_job(pipeline: MarketPipeline) -> StreamJob | None:
    """The Flink job, or None where no feed gives it anything to do."""
    spec, processing = pipeline.spec, pipeline.spec.processing
    if Feed.BOOK not in spec.feeds and Feed.TRADES not in spec.feeds:
        return None
    settings = JobSettings(
        pipeline=pipeline.name,
        http=HttpSettings(port=HTTP_PORT),
        kafka=_kafka(pipeline),
        topic_prefix=pipeline.topic_prefix,
        consumer_group=f"{pipeline.topic_prefix}.stream-job",
        feeds=spec.feeds,
        levels=spec.depth.levels,
        calculate=spec.depth.calculate,
        within_bps=spec.depth.within_bps,
        windows=list(spec.windows),
        allowed_lateness_ms=milliseconds(processing.allowed_lateness),
        thresholds=_thresholds(pipeline),
        parallelism=processing.parallelism,
        checkpoint_interval_ms=milliseconds(processing.checkpoint_interval),
        checkpoint_directory=processing.checkpoint_directory,
        state_backend=processing.state_backend.value,
    )
    return StreamJob(
        name="stream-job",
        settings=_dump(settings),
        mode=processing.mode.value,
        parallelism=processing.parallelism,
        state_backend=processing.state_backend.value,
        checkpoint_interval_ms=settings.checkpoint_interval_ms,
        checkpoint_directory=processing.checkpoint_directory,
        checkpoint_claim=processing.checkpoint_claim,
        secrets=_broker_secrets(pipeline),
        cpu=processing.resources.cpu,
        memory=processing.resources.memory,
    )


def plan_scheduled_jobs(pipeline: MarketPipeline) -> tuple[ScheduledJob, ...]:
    """The daily clean-up, and the watch over feeds that went quiet."""
    found = []
    if pipeline.spec.sinks.timescale.enabled:
        settings = _timescale_sink_settings(pipeline)
        found.append(
            ScheduledJob(
                name="maintenance",
                component=Component.MAINTENANCE,
                settings=_dump(settings),
                schedule="0 3 * * *",
                secrets=_timescale_secrets(pipeline) + _broker_secrets(pipeline),
                timeout_seconds=3600,
            )
        )
    if pipeline.spec.api.enabled:
        found.append(
            ScheduledJob(
                name="feed-watch",
                component=Component.FEED_WATCH,
                settings=_dump(_api_settings(pipeline)),
                schedule="*/5 * * * *",
                secrets=_api_secrets(pipeline),
                timeout_seconds=120,
            )
        )
    return tuple(found)


def _dump(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude_none=True)


def _kafka(pipeline: MarketPipeline) -> KafkaSettings:
    broker = pipeline.spec.broker
    return KafkaSettings(bootstrap_servers=broker.bootstrap_servers, username=broker.username, tls=broker.tls)


def _thresholds(pipeline: MarketPipeline) -> ThresholdSettings:
    thresholds = pipeline.spec.thresholds
    return ThresholdSettings(
        imbalance_medium=thresholds.imbalance.medium,
        imbalance_high=thresholds.imbalance.high,
        spread_widening=thresholds.spread_widening,
        price_spike=thresholds.price_spike,
        whale_trade=thresholds.whale_trade,
        volume_spike=thresholds.volume_spike,
        cooldown_ms=milliseconds(thresholds.cooldown),
    )


def _ingestion(pipeline: MarketPipeline, exchange: str) -> Workload:
    spec, venue = pipeline.spec, venues()[exchange]
    settings = IngestionSettings(
        pipeline=pipeline.name,
        http=HttpSettings(port=HTTP_PORT),
        kafka=_kafka(pipeline),
        topic_prefix=pipeline.topic_prefix,
        exchange=exchange,
        symbols=[split_symbol(symbol)[1] for symbol in spec.symbols if split_symbol(symbol)[0] == exchange],
        replicas=spec.ingestion.replicas,
        feeds=spec.feeds,
        levels=spec.depth.levels,
        partial_depth=spec.depth.source is BookSource.PARTIAL,
        websocket_url=spec.ingestion.websocket_urls.get(exchange, venue.websocket_url),
        rest_url=spec.ingestion.rest_urls.get(exchange, venue.rest_url),
    )
    return _workload(
        f"ingestion-{exchange}",
        Component.INGESTION,
        settings,
        replicas=spec.ingestion.replicas,
        secrets=_broker_secrets(pipeline),
        cpu=spec.ingestion.resources.cpu,
        memory=spec.ingestion.resources.memory,
        drain_seconds=settings.drain_timeout_ms // 1000,
    )


def _timescale_store(pipeline: MarketPipeline) -> TimescaleStoreSettings:
    tables = pipeline.spec.retention.tables
    groups = {"trades": tables.trades, "book": tables.book, "candles": tables.candles}
    groups |= {"alerts": tables.alerts, "events": tables.events}
    return TimescaleStoreSettings(
        url=pipeline.spec.sinks.timescale.url,
        retention_days={group: seconds(kept) / _DAY for group, kept in groups.items()},
        compress_after_days=seconds(tables.compress_after) / _DAY,
    )


def _redis_store(pipeline: MarketPipeline) -> RedisStoreSettings:
    sink = pipeline.spec.sinks.redis
    return RedisStoreSettings(
        url=sink.url, prefix=pipeline.topic_prefix, expiry_ms=milliseconds(sink.expiry), alerts=sink.alerts
    )


def _timescale_sink_settings(pipeline: MarketPipeline) -> TimescaleSinkSettings:
    sink = pipeline.spec.sinks.timescale
    return TimescaleSinkSettings(
        pipeline=pipeline.name,
        http=HttpSettings(port=HTTP_PORT),
        kafka=_kafka(pipeline),
        topic_prefix=pipeline.topic_prefix,
        consumer_group=f"{pipeline.topic_prefix}.sink-timescale",
        batch_rows=sink.batch_rows,
        flush_interval_ms=milliseconds(sink.flush_interval),
        store=_timescale_store(pipeline),
    )


def _timescale_sink(pipeline: MarketPipeline) -> Workload:
    settings = _timescale_sink_settings(pipeline)
    return _workload(
        "sink-timescale",
        Component.SINK_TIMESCALE,
        settings,
        replicas=pipeline.spec.sinks.timescale.replicas,
        secrets=_timescale_secrets(pipeline) + _broker_secrets(pipeline),
        drain_seconds=settings.drain_timeout_ms // 1000,
    )


def _redis_sink(pipeline: MarketPipeline) -> Workload:
    sink = pipeline.spec.sinks.redis
    settings = RedisSinkSettings(
        pipeline=pipeline.name,
        http=HttpSettings(port=HTTP_PORT),
        kafka=_kafka(pipeline),
        topic_prefix=pipeline.topic_prefix,
        consumer_group=f"{pipeline.topic_prefix}.sink-redis",
        batch_rows=sink.batch_rows,
        flush_interval_ms=milliseconds(sink.flush_interval),
        store=_redis_store(pipeline),
    )
    return _workload(
        "sink-redis",
        Component.SINK_REDIS,
        settings,
        replicas=sink.replicas,
        secrets=_redis_secrets(pipeline) + _broker_secrets(pipeline),
        drain_seconds=settings.drain_timeout_ms // 1000,
    )


def _api_settings(pipeline: MarketPipeline) -> ApiSettings:
    spec = pipeline.spec
    return ApiSettings(
        pipeline=pipeline.name,
        http=HttpSettings(port=spec.api.port),
        symbols=spec.symbols,
        windows=list(spec.windows),
        timescale=_timescale_store(pipeline) if spec.sinks.timescale.enabled else None,
        redis=_redis_store(pipeline) if spec.sinks.redis.enabled else None,
    )


def _api(pipeline: MarketPipeline) -> Workload:
    api = pipeline.spec.api
    return _workload(
        "api",
        Component.API,
        _api_settings(pipeline),
        replicas=api.replicas,
        secrets=_api_secrets(pipeline),
        cpu=api.resources.cpu,
        memory=api.resources.memory,
        drain_seconds=10,
        after=tuple(s for s in ("sink-timescale", "sink-redis") if _enabled(pipeline, s)),
    )


def _enabled(pipeline: MarketPipeline, workload: str) -> bool:
    sinks = pipeline.spec.sinks
    return sinks.timescale.enabled if workload == "sink-timescale" else sinks.redis.enabled


def _workload(
    name: str,
    component: Component,
    settings: Settings,
    *,
    replicas: int,
    secrets: tuple[SecretEnv, ...],
    drain_seconds: int,
    cpu: str = "250m",
    memory: str = "256Mi",
    after: tuple[str, ...] = (),
) -> Workload:
    return Workload(
        name=name,
        component=component,
        settings=_dump(settings),
        replicas=replicas,
        ports=(Port(name="http", number=settings.http.port),),
        startup=Probe(path="/health/live", port="http", period=1, failures=60),
        readiness=Probe(path="/health", port="http", period=2, failures=3),
        liveness=Probe(path="/health/live", port="http", period=10, failures=3),
        secrets=secrets,
        after=after,
        cpu=cpu,
        memory=memory,
        drain_seconds=drain_seconds,
    )


def _secret(variable: str, reference: SecretKey | None) -> tuple[SecretEnv, ...]:
    if reference is None:
        return ()
    return (SecretEnv(variable=ENV_PREFIX + variable, secret=reference.name, key=reference.key),)


def _broker_secrets(pipeline: MarketPipeline) -> tuple[SecretEnv, ...]:
    return _secret("KAFKA__PASSWORD", pipeline.spec.broker.password_secret)


def _timescale_secrets(pipeline: MarketPipeline) -> tuple[SecretEnv, ...]:
    return _secret("STORE__PASSWORD", pipeline.spec.sinks.timescale.password_secret)


def _redis_secrets(pipeline: MarketPipeline) -> tuple[SecretEnv, ...]:
    return _secret("STORE__PASSWORD", pipeline.spec.sinks.redis.password_secret)


def _api_secrets(pipeline: MarketPipeline) -> tuple[SecretEnv, ...]:
    sinks = pipeline.spec.sinks
    found: tuple[SecretEnv, ...] = ()
    if sinks.timescale.enabled:
        found += _secret("TIMESCALE__PASSWORD", sinks.timescale.password_secret)
    if sinks.redis.enabled:
        found += _secret("REDIS__PASSWORD", sinks.redis.password_secret)
    return found
