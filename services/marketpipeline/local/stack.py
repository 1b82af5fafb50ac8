"""From a plan to the components of this machine: addresses put in, settings written, an order to start and to stop."""

from __future__ import annotations

import copy
import os
import socket
import sys
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.local.component import Command, Component, StoreServer
from marketpipeline.local.components.broker import Broker
from marketpipeline.local.components.service import Service
from marketpipeline.local.options import Endpoints, RunOptions, endpoints
from marketpipeline.local.ports import CLAIMS_ARE_SHARED, HOST, claim_port
from marketpipeline.local.prerequisites import Java
from marketpipeline.local.schedule import Scheduled
from marketpipeline.local.state import STORES, StateFolder, is_folder
from marketpipeline.plan import Component as PlannedComponent
from marketpipeline.plan import Plan, Workload
from marketpipeline.registry import resolve
from marketpipeline.settings import HttpSettings, IngestionSettings, KafkaSettings, SimulatorSettings
from marketpipeline.settings.local import LocalSettings, is_loopback, proxy_for
from marketpipeline.sink_kinds import SinkKind, sink_kinds
from marketpipeline.spec import MarketPipeline
from marketpipeline.venues import split_symbol

__all__ = ["SYMBOLS", "TOPICS", "LocalStack", "Ports", "assemble"]

SYMBOLS = "symbols"
"""The step that checks that the exchanges of this machine have the pipeline's symbols."""

TOPICS = "topics"
"""The step that makes the topics; whoever uses them starts after it."""

LEAST_TASKS = 2
"""So many tasks of the job may run side by side on any machine; more than there are processors are of no use, and each
pair of tasks takes buffers."""

MARKET_SYMBOLS = 30
"""Symbols of a simulated exchange, beside those that are named, that a selector has to choose from."""

CHECKPOINT_INTERVAL_MS = 1_000
"""The state of a pipeline on one machine is small, and `--until-drained` waits for a checkpoint."""
_FASTEST = 360.0
"""Times the exchange's speed that a replay is taken for at the most."""
_MAX_AHEAD_MS: int = IngestionSettings.model_fields["max_ahead_ms"].default


@dataclass(frozen=True, slots=True)
class LocalStack:
    """The components of a run. `stop_stages` is the order to stop them in: those of one stage together.

    By the kind of sink, `servers` are those of the stores and `stores` the settings of these. `ingestion` (by
    exchange), `sinks` and `stream_job` name components; `exchanges` are those that this machine serves itself, and
    `rest_urls` where exchanges are asked that the run has elsewhere than the spec.
    """

    components: Sequence[Component]
    stop_stages: Sequence[Sequence[str]]
    kafka: KafkaSettings
    broker: Broker
    servers: Mapping[str, StoreServer]
    stores: Mapping[str, Mapping[str, Any]]
    ingestion: Mapping[str, list[Service]]
    sinks: Sequence[Service]
    stream_job: Service | None
    exchanges: Mapping[str, Service]
    rest_urls: Mapping[str, str]
    api: Service | None
    dashboard: Service | None
    scheduled: Sequence[Scheduled]
    ports: Ports

    def took_over(self, service: Service, successor: Service) -> None:
        """A process of ingestion was replaced by another of its name."""
        for services in self.ingestion.values():
            services[:] = [successor if one is service else one for one in services]


class Ports:
    """Ports that nobody else has, one for each name, claimed for as long as this object is there.

    Between its choice and the start of its server no other run takes one. Who runs already keeps its own when the stack
    is assembled again.
    """

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._claims: list[socket.socket] = []
        weakref.finalize(self, _release, self._claims)

    def take(self, name: str) -> int:
        """The port of `name`."""
        return self._taken[name] if name in self._taken else self.renew(name)

    def renew(self, name: str) -> int:
        """Another port for `name`; its last one may still be listened on."""
        claim = claim_port()
        self._taken[name] = claim.getsockname()[1]
        if CLAIMS_ARE_SHARED:
            self._claims.append(claim)
        else:
            claim.close()
        return self._taken[name]

    def keep(self, name: str, port: int) -> None:
        """It stays where it is."""
        self._taken[name] = port


def _release(claims: list[socket.socket]) -> None:
    for claim in claims:
        claim.close()


def assemble(
    pipeline: MarketPipeline,
    plan: Plan,
    options: RunOptions,
    state: StateFolder,
    places: LocalSettings,
    java: Java,
    ports: Ports | None = None,
) -> LocalStack:
    """Everything that runs, with its settings written to the state folder. `ports` are those of what runs already."""
    ports = ports or Ports()
    broker = Broker(
        java=java.program,
        jars=places.kafka_jars,
        folder=state.folder("broker"),
        port=ports.take("broker"),
        controller_port=ports.take("broker-controller"),
    )
    servers = _servers(pipeline, state, ports)
    stores = _Stores(broker, servers, is_replay=bool(options.replay))
    known = _store_settings(pipeline, stores)
    state.write_settings(STORES, known)
    exchanges = _exchanges(pipeline, options, state, ports)
    feeds = _feeds(pipeline, options, exchanges)
    job = _stream_job(plan, stores, state, ports, places, java)
    ingestion: dict[str, list[Service]] = {}
    sinks, api, dashboard = [], None, None
    for workload in plan.workloads:
        if workload.component is PlannedComponent.INGESTION:
            readers = [job.name] if job and options.replay else []
            found = _ingestion(workload, stores, state, ports, exchanges, feeds, places, readers, _pace(options))
            ingestion.setdefault(workload.settings["exchange"], []).extend(found)
        elif workload.component is PlannedComponent.API:
            api = _api(workload, stores, state)
        elif workload.component is PlannedComponent.DASHBOARD:
            dashboard = _dashboard(workload, api, stores, state)
        else:
            sinks += _sinks(workload, stores, state, ports)
    feeders = [service for services in ingestion.values() for service in services]
    services = [*exchanges.values(), *feeders, *sinks, *([api] if api else []), *([job] if job else [])]
    services += [dashboard] if dashboard else []
    return LocalStack(
        components=[broker, *_each_once(servers), *services],
        stop_stages=[
            [service.name for service in feeders],
            [service.name for service in exchanges.values()],
            [job.name] if job else [],
            [service.name for service in sinks],
            *([[dashboard.name]] if dashboard else []),
            [api.name] if api else [],
            [broker.name, *stores.names],
        ],
        kafka=stores.kafka,
        broker=broker,
        servers=servers,
        stores=known,
        ingestion=ingestion,
        sinks=sinks,
        stream_job=job,
        exchanges=exchanges,
        rest_urls={exchange: feed.rest for exchange, feed in feeds.items()},
        api=api,
        dashboard=dashboard,
        scheduled=[] if options.replay else _scheduled(plan, stores, state),
        ports=ports,
    )


def _servers(pipeline: MarketPipeline, state: StateFolder, ports: Ports) -> dict[str, StoreServer]:
    """The servers of the sinks that run, by the kind of sink; kinds that name the same server share it."""
    made: dict[str, StoreServer] = {}
    found = {}
    for kind, sink in pipeline.spec.sinks.enabled():
        if kind.server is not None and kind.has_server(sink):
            if kind.server not in made:
                made[kind.server] = resolve(kind.server)(state, ports.take(kind.server))
            found[kind.name] = made[kind.server]
    return found


def _store_settings(pipeline: MarketPipeline, stores: _Stores) -> dict[str, Any]:
    """By the kind of sink the settings of each store that is here, for whoever reads it during the run or after it."""
    found = {kind.name: kind.store(pipeline, sink) for kind, sink in pipeline.spec.sinks.enabled()}
    settings = {name: {**store.model_dump(mode="json"), **stores.settings(name)} for name, store in found.items()}
    return {name: store for name, store in settings.items() if name in stores.servers or is_folder(store)}


def _each_once(servers: Mapping[str, StoreServer]) -> list[StoreServer]:
    return list({server.name: server for server in servers.values()}.values())


@dataclass(frozen=True, slots=True)
class _Stores:
    """The servers of this machine, and how their addresses get into a component's settings."""

    broker: Broker
    servers: Mapping[str, StoreServer]
    is_replay: bool = False

    @property
    def names(self) -> Sequence[str]:
        return [server.name for server in _each_once(self.servers)]

    @property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings(bootstrap_servers=self.broker.address)

    def applied(
        self, settings: Mapping[str, Any], port: int | None = None, sink: SinkKind | None = None
    ) -> dict[str, Any]:
        """A copy of the planned settings with what is here: loopback, these servers and their passwords.

        `sink` is the kind of the store that a sink, or a job of one, writes to. A store without a server on this
        machine stays where the spec says that it is.
        """
        found = copy.deepcopy(dict(settings))
        found["http"] = {"host": HOST, "port": found["http"]["port"] if port is None else port}
        if "kafka" in found:
            found["kafka"] = {"bootstrap_servers": self.broker.address}
        stores = {sink.name: found["store"]} if sink is not None else found.get("stores", {})
        for name, store in stores.items():
            store |= self.settings(name)
        return found

    def settings(self, kind: str) -> dict[str, Any]:
        """What the settings of a kind's store are here, over the planned ones."""
        here = self.servers[kind].settings if kind in self.servers else {}
        return {**here, **(sink_kinds()[kind].in_replay if self.is_replay else {})}


def _service(
    workload: Workload, name: str, settings: dict[str, Any], state: StateFolder, after: Sequence[str]
) -> Service:
    config = state.write_settings(name, settings)
    return Service(
        name=name,
        arguments=_program(workload.component.value, str(config)),
        port=settings["http"]["port"],
        after=after,
        stop_seconds=workload.drain_seconds + 5.0,
    )


def _api(workload: Workload, stores: _Stores, state: StateFolder) -> Service:
    """Without keys and certificates: there are no Secrets here, and it serves the loopback alone."""
    absent = {"health_port", *(folder.setting for folder in workload.secret_folders)}
    settings = {name: value for name, value in stores.applied(workload.settings).items() if name not in absent}
    return _service(workload, workload.name, settings, state, stores.names)


def _dashboard(workload: Workload, api: Service | None, stores: _Stores, state: StateFolder) -> Service:
    """It asks the API of this machine, which wants neither a key nor a certificate."""
    assert api is not None, "the spec has no dashboard without an API"
    settings = stores.applied(workload.settings) | {"api": {"url": api.url}}
    return _service(workload, workload.name, settings, state, [api.name])


def _program(component: str, config: str) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", "marketpipeline", component, "--config", config)


def _names(workload: Workload) -> list[tuple[int, str]]:
    """The replica and the name of each process; the plain name when it is alone. Copies are told apart by a letter."""
    replicas = [f"{workload.name}-{number}" for number in range(workload.replicas)]
    names = [workload.name] if workload.replicas == 1 else replicas
    if workload.copies == 1:
        return list(enumerate(names))
    return [(number, f"{name}-{letter}") for number, name in enumerate(names) for letter in "abc"[: workload.copies]]


def _ingestion(
    workload: Workload,
    stores: _Stores,
    state: StateFolder,
    ports: Ports,
    exchanges: Mapping[str, Service],
    feeds: Mapping[str, Endpoints],
    places: LocalSettings,
    readers: Sequence[str],
    pace: float,
) -> list[Service]:
    """An exchange is followed at once: books and prices are on the screen while the stream job is planned, which then
    begins with what has come. A replay waits for `readers`, so that its first record is as quick through as any other.

    At `pace` times the exchange's speed a moment in which this machine is busy is that much longer to the exchange: as
    much further may its times be ahead.
    """
    exchange = workload.settings["exchange"]
    after = [TOPICS, *([SYMBOLS] if exchange in exchanges else []), *readers]
    found = []
    for number, name in _names(workload):
        settings = stores.applied(workload.settings, ports.take(name)) | {"replica": number}
        settings["max_ahead_ms"] = round(pace * settings.get("max_ahead_ms", _MAX_AHEAD_MS))
        if exchange in feeds:
            feed = feeds[exchange]
            settings |= {"websocket_url": feed.websocket, "websocket_fallbacks": [], "rest_url": feed.rest}
        settings |= _route(settings["rest_url"], places)
        found.append(_service(workload, name, settings, state, after))
    return found


def _pace(options: RunOptions) -> float:
    """How much faster than at the exchange time goes by; without a bound, as if an hour went by in ten seconds."""
    return max(1.0, min(options.speed or _FASTEST, _FASTEST)) if options.replay else 1.0


def _route(url: str, places: LocalSettings) -> dict[str, str]:
    """The way to an exchange out of this machine. Raises InvalidInput for certificates that are not there."""
    parts = urlsplit(url)
    if is_loopback(parts.hostname or ""):
        return {}
    found = {} if (proxy := proxy_for(url)) is None else {"proxy": proxy}
    if places.ca_file is None or parts.scheme != "https":
        return found
    if not places.ca_file.is_file():
        expected = "must be a file of certificates in PEM form; correct or unset it"
        raise InvalidInput("this machine", [Problem("SSL_CERT_FILE", str(places.ca_file), expected)])
    return {**found, "ca_file": str(places.ca_file.absolute())}


def _sinks(workload: Workload, stores: _Stores, state: StateFolder, ports: Ports) -> list[Service]:
    kind = workload.component.sink
    server = stores.servers.get(kind.name) if kind is not None else None
    after = [TOPICS, *([server.name] if server is not None else [])]
    return [
        _service(workload, name, stores.applied(workload.settings, ports.take(name), kind), state, after)
        for _, name in _names(workload)
    ]


def _stream_job(
    plan: Plan, stores: _Stores, state: StateFolder, ports: Ports, places: LocalSettings, java: Java
) -> Service | None:
    job = plan.stream_job
    if job is None:
        return None
    settings = stores.applied(job.settings, ports.take(job.name)) | {
        "checkpoint_directory": state.folder("checkpoints").as_uri(),
        "keeps_state": True,
        "checkpoint_interval_ms": CHECKPOINT_INTERVAL_MS,
        "state_backend": "hashmap",
        "parallelism": min(job.parallelism, max(LEAST_TASKS, os.cpu_count() or 0)),
    }
    config = state.write_settings(job.name, settings)
    return Service(
        name=job.name,
        arguments=(str(places.flink_python), "-P", "-m", "marketpipeline_job", "--config", str(config)),
        port=settings["http"]["port"],
        after=[],  # it waits for its topics itself, and is planned meanwhile
        environment={"JAVA_HOME": java.home, "MARKETPIPELINE_FLINK_JARS": str(places.flink_jars)},
        stop_seconds=40.0,
        ready_seconds=600.0,
    )


def _scheduled(plan: Plan, stores: _Stores, state: StateFolder) -> list[Scheduled]:
    """The plan's scheduled jobs but backups, as one folder has everything. A replay has none: its data is old on
    purpose, and quiet when it has ended."""
    found = []
    for job in (job for job in plan.scheduled_jobs if job.component is not PlannedComponent.BACKUP):
        config = state.write_settings(job.name, stores.applied(job.settings, sink=job.component.sink))
        command = Command(_program(job.component.value, str(config)))
        found.append(Scheduled(job.name, job.schedule, command, job.timeout_seconds))
    return found


def _exchanges(pipeline: MarketPipeline, options: RunOptions, state: StateFolder, ports: Ports) -> dict[str, Service]:
    """The exchanges that this machine serves itself: one process for each that the symbols name."""
    if not options.replay and options.exchange != "simulated":
        return {}
    names = pipeline.spec.exchanges
    found = {}

    def selected(exchange: str) -> bool:
        return any(selector.exchange == exchange for selector in pipeline.spec.selectors)

    for exchange in names:
        name = "simulator" if len(names) == 1 else f"simulator-{exchange}"
        settings = SimulatorSettings(
            pipeline=pipeline.name,
            http=HttpSettings(host=HOST, port=ports.take(name)),
            exchange=exchange,
            captures=[str(path.absolute()) for path in options.replay],
            other_exchanges=[name for name in names if name != exchange],
            speed=options.speed,
            symbols=[] if options.replay else [s for e, s in map(split_symbol, pipeline.spec.named) if e == exchange],
            more_symbols=0 if options.replay or not selected(exchange) else MARKET_SYMBOLS,
        )
        config = state.write_settings(name, settings.model_dump(mode="json"))
        found[exchange] = Service(
            name=name, arguments=_program("simulator", str(config)), port=settings.http.port, stop_seconds=10.0
        )
    return found


def _feeds(pipeline: MarketPipeline, options: RunOptions, exchanges: Mapping[str, Service]) -> dict[str, Endpoints]:
    """Where ingestion connects to, by exchange; those that are absent stay as the plan has them."""
    if exchanges:
        return {name: endpoints(service.url) for name, service in exchanges.items()}
    if options.exchange == "live":
        return {}
    given = endpoints(options.exchange)
    return dict.fromkeys(pipeline.spec.exchanges, given)
