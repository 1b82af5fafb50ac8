"""The workloads of a plan: ingestion for each exchange, a process for each sink, the API, and their settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marketpipeline.plan.model import (
    Component,
    Port,
    Preparation,
    Probe,
    ScheduledJob,
    SecretEnv,
    SecretFolder,
    StreamJob,
    Workload,
)
from marketpipeline.schema import S3Access, retention_milliseconds
from marketpipeline.settings import (
    ENV_PREFIX,
    ApiAccess,
    ApiSettings,
    BackupSettings,
    DashboardSettings,
    HttpSettings,
    IngestionSettings,
    JobSettings,
    KafkaSettings,
    PlaceSettings,
    RateLimitSettings,
    Settings,
    Stores,
    TiersSettings,
)
from marketpipeline.sink_kinds import SinkKind, SinkSettings, SinkSpec
from marketpipeline.spec import BookSource, MarketPipeline, milliseconds
from marketpipeline.spec.backup import BACKED_UP, Backup, Recovery
from marketpipeline.spec.platform import Api, Ingestion, RateUnit
from marketpipeline.topics import Feed
from marketpipeline.venues import Venue, split_symbol, venues

__all__ = ["plan_scheduled_jobs", "plan_stream_job", "plan_workloads"]

HTTP_PORT = 9100


def plan_workloads(pipeline: MarketPipeline, symbols: Sequence[str]) -> tuple[Workload, ...]:
    """Every long-running process but the stream job. An exchange of which nothing is followed has none."""
    spec = pipeline.spec
    names = {exchange: [name for e, name in map(split_symbol, symbols) if e == exchange] for exchange in spec.exchanges}
    found = [_ingestion(pipeline, exchange, followed) for exchange, followed in names.items() if followed]
    found += [_sink(pipeline, kind, sink) for kind, sink in spec.sinks.enabled()]
    if spec.api.enabled:
        found.append(_api(pipeline, symbols))
    if spec.dashboard.enabled:
        found.append(_dashboard(pipeline, symbols))
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
        thresholds=spec.thresholds.by_name(),
        parallelism=processing.parallelism,
        checkpoint_interval_ms=milliseconds(processing.checkpoint_interval),
        checkpoint_directory=processing.checkpoint_directory,
        keeps_state=bool(processing.checkpoint_claim) or not processing.checkpoint_directory.startswith(("file:", "/")),
        initial_savepoint=processing.initial_savepoint,
        reset=processing.reset,
        state_backend=processing.state_backend.value,
        flink_configuration=processing.flink_configuration or None,
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
        secrets=_broker_secrets(pipeline) + _s3_secrets(processing.s3),
        cpu=processing.resources.cpu,
        memory=processing.resources.memory,
    )


def plan_scheduled_jobs(pipeline: MarketPipeline, symbols: Sequence[str]) -> tuple[ScheduledJob, ...]:
    """What the stores need to have done, and the check for symbols without recent data."""
    found = [
        ScheduledJob(
            name=job.name,
            component=Component(job.name),
            settings=_dump(_sink_settings(pipeline, kind, sink)),
            schedule=job.schedule,
            secrets=_store_secrets("STORE", kind, sink) + _broker_secrets(pipeline),
            timeout_seconds=job.timeout_seconds,
        )
        for kind, sink in pipeline.spec.sinks.enabled()
        for job in kind.jobs
    ]
    if pipeline.spec.api.enabled:
        found.append(
            ScheduledJob(
                name="staleness",
                component=Component.STALENESS_CHECK,
                settings=_dump(_api_settings(pipeline, symbols)),
                schedule="*/5 * * * *",
                secrets=_api_secrets(pipeline),
                timeout_seconds=120,
            )
        )
    if (backup := pipeline.spec.backup) is not None:
        found.append(
            ScheduledJob(
                name="backup",
                component=Component.BACKUP,
                settings=_dump(_backup_settings(pipeline, backup, keep=backup.keep)),
                schedule=backup.schedule,
                secrets=_backup_secrets(pipeline, backup, pipeline.spec.processing.s3),
                timeout_seconds=6 * 3600,
            )
        )
    if pipeline.spec.sinks.has_archive:
        retention = pipeline.spec.retention
        archived = retention_milliseconds(retention.archive)
        fields = _api_settings(pipeline, symbols).model_dump() | {"warm_days": retention.tables.days}
        settings = TiersSettings.model_validate(
            fields | {"cold_days": None if archived is None else archived / 86_400_000}
        )
        found.append(
            ScheduledJob(
                name="tiers",
                component=Component.TIERS,
                settings=_dump(settings),
                schedule="0 3 * * *",
                secrets=_api_secrets(pipeline),
                timeout_seconds=4 * 3600,
            )
        )
    return tuple(found)


def _backup_settings(pipeline: MarketPipeline, place: Backup | Recovery, **more: Any) -> BackupSettings:
    [(kind, sink)] = [(kind, sink) for kind, sink in pipeline.spec.sinks.enabled() if kind.name == BACKED_UP]
    processing = pipeline.spec.processing
    state = None
    if processing.checkpoint_directory.startswith("s3://") and not more.get("recover"):
        state = _place(processing.checkpoint_directory, processing.s3 or S3Access())
    return BackupSettings(
        pipeline=pipeline.name,
        kafka=_kafka(pipeline),
        topic_prefix=pipeline.topic_prefix,
        consumer_group=f"{pipeline.topic_prefix}.{kind.component}",
        stores=Stores.model_validate({kind.name: kind.store(pipeline, sink)}),
        place=_place(place.url, place),
        state=state,
        **more,
    )


def _place(url: str, access: S3Access) -> PlaceSettings:
    style = access.is_path_style
    return PlaceSettings(url=url, endpoint=access.endpoint, region=access.region, path_style=style)


def _backup_secrets(pipeline: MarketPipeline, place: S3Access, state: S3Access | None = None) -> tuple[SecretEnv, ...]:
    found = _broker_secrets(pipeline)
    for kind, sink in pipeline.spec.sinks.enabled():
        found += _store_secrets(f"STORES__{kind.name.upper()}", kind, sink) if kind.name == BACKED_UP else ()
    for branch, access in (("PLACE", place), ("STATE", state)):
        for key in ("access_key_id", "secret_access_key"):
            found += _secret(f"{branch}__{key.upper()}", access.credentials_secret if access else None, key)
    return found


def _recovery(pipeline: MarketPipeline, kind: SinkKind) -> Preparation | None:
    recovery = pipeline.spec.recovery
    if recovery is None or kind.name != BACKED_UP:
        return None
    return Preparation(
        name="recovery",
        component=Component.BACKUP,
        settings=_dump(_backup_settings(pipeline, recovery, recover=True)),
        secrets=_backup_secrets(pipeline, recovery),
    )


def _dump(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude_none=True)


def _kafka(pipeline: MarketPipeline) -> KafkaSettings:
    broker = pipeline.spec.broker
    return KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers,
        username=broker.username,
        sasl_mechanism=broker.sasl_mechanism if broker.username else None,
        tls=broker.tls,
    )


def _ingestion(pipeline: MarketPipeline, exchange: str, names: list[str]) -> Workload:
    spec, venue = pipeline.spec, venues()[exchange]
    settings = IngestionSettings(
        pipeline=pipeline.name,
        http=HttpSettings(port=HTTP_PORT),
        kafka=_kafka(pipeline),
        topic_prefix=pipeline.topic_prefix,
        exchange=exchange,
        symbols=names,
        replicas=spec.ingestion.replicas,
        feeds=spec.feeds,
        levels=spec.depth.levels,
        partial_depth=spec.depth.source is BookSource.PARTIAL,
        websocket_url=spec.ingestion.websocket_urls.get(exchange, venue.websocket_url),
        websocket_fallbacks=_fallbacks(spec.ingestion, venue),
        rest_url=spec.ingestion.rest_urls.get(exchange, venue.rest_url),
    )
    return _workload(
        f"ingestion-{exchange}",
        Component.INGESTION,
        settings,
        replicas=spec.ingestion.replicas,
        copies=spec.ingestion.redundancy,
        readiness="/health/synced",
        secrets=_broker_secrets(pipeline),
        cpu=spec.ingestion.resources.cpu,
        memory=spec.ingestion.resources.memory,
        drain_seconds=settings.drain_timeout_ms // 1000,
    )


def _fallbacks(ingestion: Ingestion, venue: Venue) -> list[str]:
    """What the exchange documents, unless an address, or a list of further ones, is the user's own."""
    documented = () if venue.name in ingestion.websocket_urls else venue.websocket_fallbacks
    return list(ingestion.websocket_fallbacks.get(venue.name, documented))


def _sink_settings(pipeline: MarketPipeline, kind: SinkKind, sink: SinkSpec) -> SinkSettings:
    fields: dict[str, Any] = {
        "pipeline": pipeline.name,
        "http": HttpSettings(port=HTTP_PORT),
        "kafka": _kafka(pipeline),
        "topic_prefix": pipeline.topic_prefix,
        "consumer_group": f"{pipeline.topic_prefix}.{kind.component}",
        "batch_rows": sink.batch_rows,
        "flush_interval_ms": milliseconds(sink.flush_interval),
        "store": kind.store(pipeline, sink),
    }
    return kind.settings(**fields)


def _sink(pipeline: MarketPipeline, kind: SinkKind, sink: SinkSpec) -> Workload:
    settings = _sink_settings(pipeline, kind, sink)
    workload = _workload(
        kind.component,
        Component(kind.component),
        settings,
        replicas=sink.replicas,
        secrets=_store_secrets("STORE", kind, sink) + _broker_secrets(pipeline),
        cpu=sink.resources.cpu,
        memory=sink.resources.memory,
        drain_seconds=settings.drain_timeout_ms // 1000,
    )
    return workload.model_copy(update={"preparation": _recovery(pipeline, kind)})


def _api_settings(pipeline: MarketPipeline, symbols: Sequence[str]) -> ApiSettings:
    """What asks the stores; the API itself also reads the topics."""
    spec = pipeline.spec
    stores = {kind.name: kind.store(pipeline, sink) for kind, sink in spec.sinks.enabled() if kind.reader}
    return ApiSettings(
        pipeline=pipeline.name,
        patterns=[pattern.name for pattern in spec.patterns],
        http=HttpSettings(port=spec.api.port),
        symbols=list(symbols),
        windows=list(spec.windows),
        feeds=spec.feeds,
        stores=Stores.model_validate(stores),
    )


def _api(pipeline: MarketPipeline, symbols: Sequence[str]) -> Workload:
    api = pipeline.spec.api
    folders = _api_folders(api)
    serving: dict[str, Any] = {
        "rate_limit": RateLimitSettings(requests=api.rate_limit.requests, seconds=_UNITS[api.rate_limit.unit])
        if api.rate_limit.enabled
        else None,
        "cors_origins": api.cors.allow_origins,
        "cors_max_age_ms": milliseconds(api.cors.max_age),
        "trusted_proxies": api.trusted_proxies,
        "kafka": _kafka(pipeline),
        "topic_prefix": pipeline.topic_prefix,
        **{folder.setting: folder.path for folder in folders},
    }
    main = Port(name="http", number=api.port)
    ports: tuple[Port, ...] = (main,)
    if api.tls.secret_name:
        serving["health_port"] = HTTP_PORT if api.port != HTTP_PORT else HTTP_PORT + 1
        ports = (Port(name="https", number=api.port), Port(name="http", number=serving["health_port"]))
    workload = _workload(
        "api",
        Component.API,
        _api_settings(pipeline, symbols).model_copy(update=serving),
        replicas=api.replicas,
        secrets=_api_secrets(pipeline) + _broker_secrets(pipeline),
        cpu=api.resources.cpu,
        memory=api.resources.memory,
        drain_seconds=10,
        after=tuple(kind.component for kind, _ in pipeline.spec.sinks.enabled() if kind.reader),
    )
    return workload.model_copy(update={"ports": ports, "secret_folders": folders})


def _dashboard(pipeline: MarketPipeline, symbols: Sequence[str]) -> Workload:
    """A platform puts the API's address in. Of several processes a browser would have to stay with one: it is one."""
    spec = pipeline.spec
    scheme = "https" if spec.api.tls.secret_name else "http"
    settings = DashboardSettings(
        pipeline=pipeline.name,
        http=HttpSettings(port=spec.dashboard.port),
        api=ApiAccess(url=f"{scheme}://api:{spec.api.port}"),
        symbols=list(symbols),
        patterns=[pattern.name for pattern in spec.patterns],
        windows=list(spec.windows),
        feeds=spec.feeds,
    )
    return _workload(
        "dashboard",
        Component.DASHBOARD,
        settings,
        replicas=1,
        secrets=_secret("API__KEY", spec.dashboard.api_key_secret) + _secret("API__CA", spec.dashboard.api_ca_secret),
        cpu=spec.dashboard.resources.cpu,
        memory=spec.dashboard.resources.memory,
        drain_seconds=10,
        after=("api",),
    )


_UNITS = {RateUnit.SECOND: 1, RateUnit.MINUTE: 60, RateUnit.HOUR: 3_600, RateUnit.DAY: 86_400}


def _api_folders(api: Api) -> tuple[SecretFolder, ...]:
    found = []
    if api.auth.secret_name:
        found.append(SecretFolder(setting="keys_folder", secret=api.auth.secret_name, path="/etc/marketpipeline-keys"))
    if api.tls.secret_name:
        path, keys = "/etc/marketpipeline-tls", ("tls.crt", "tls.key")
        found.append(SecretFolder(setting="tls_folder", secret=api.tls.secret_name, path=path, keys=keys))
    return tuple(found)


def _workload(
    name: str,
    component: Component,
    settings: Settings,
    *,
    replicas: int,
    secrets: tuple[SecretEnv, ...],
    drain_seconds: int,
    cpu: str,
    memory: str,
    after: tuple[str, ...] = (),
    copies: int = 1,
    readiness: str = "/health",
) -> Workload:
    return Workload(
        name=name,
        component=component,
        settings=_dump(settings),
        replicas=replicas,
        copies=copies,
        ports=(Port(name="http", number=settings.http.port),),
        startup=Probe(path="/health/live", port="http", period=1, failures=60),
        readiness=Probe(path=readiness, port="http", period=2, failures=3),
        liveness=Probe(path="/health/live", port="http", period=10, failures=3),
        secrets=secrets,
        after=after,
        cpu=cpu,
        memory=memory,
        drain_seconds=drain_seconds,
    )


def _secret(variable: str, reference: Any, key: str = "key") -> tuple[SecretEnv, ...]:
    """The variable that a key of a Secret is put into; `key` is the field of the reference that names it."""
    if reference is None:
        return ()
    return (SecretEnv(variable=ENV_PREFIX + variable, secret=reference.name, key=getattr(reference, key)),)


def _broker_secrets(pipeline: MarketPipeline) -> tuple[SecretEnv, ...]:
    broker = pipeline.spec.broker
    found = _secret("KAFKA__PASSWORD", broker.password_secret) + _secret("KAFKA__CA", broker.ca_secret)
    own = broker.client_certificate_secret
    return found + _secret("KAFKA__CERTIFICATE", own, "certificate") + _secret("KAFKA__KEY", own)


def _s3_secrets(access: S3Access | None) -> tuple[SecretEnv, ...]:
    """The variables that every client of S3 knows."""
    if access is None or access.credentials_secret is None:
        return ()
    keys = access.credentials_secret
    places = {"AWS_ACCESS_KEY_ID": keys.access_key_id, "AWS_SECRET_ACCESS_KEY": keys.secret_access_key}
    return tuple(SecretEnv(variable=variable, secret=keys.name, key=key) for variable, key in places.items())


def _store_secrets(branch: str, kind: SinkKind, sink: SinkSpec) -> tuple[SecretEnv, ...]:
    """The variables by which a store's credentials get into the branch of a settings tree that describes the store."""
    found: tuple[SecretEnv, ...] = ()
    for setting, secret in kind.secrets.items():
        reference = getattr(sink, secret)
        key = setting if hasattr(reference, setting) else "key"
        found += _secret(f"{branch}__{setting.upper()}", reference, key)
    return found


def _api_secrets(pipeline: MarketPipeline) -> tuple[SecretEnv, ...]:
    found: tuple[SecretEnv, ...] = ()
    for kind, sink in pipeline.spec.sinks.enabled():
        if kind.reader:
            found += _store_secrets(f"STORES__{kind.name.upper()}", kind, sink)
    return found
