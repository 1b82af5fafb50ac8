"""A plan on this machine: loopback addresses, passwords, replicas, what starts after what and stops before what."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.local import ports
from marketpipeline.local.options import RunOptions
from marketpipeline.local.prerequisites import Java
from marketpipeline.local.stack import SYMBOLS, TOPICS, LocalStack, Ports, assemble
from marketpipeline.local.state import STORES, StateFolder
from marketpipeline.plan import plan
from marketpipeline.settings import ApiSettings, IngestionSettings, JobSettings, SimulatorSettings
from marketpipeline.settings.local import LocalSettings
from marketpipeline.sink_kinds.redis import RedisStoreSettings
from marketpipeline.sink_kinds.timescale import TimescaleSinkSettings
from marketpipeline.spec import load_text

HEAD = "apiVersion: marketpipeline.dev/v1alpha1\nkind: MarketPipeline\nmetadata: {name: crypto}\nspec:\n"
SYMBOL_LINE = "  symbols: [binance:BTCUSDT, binance:ETHUSDT]\n"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    folder = StateFolder.open(tmp_path / "state", "crypto", "simulated")
    yield folder
    folder.close()


def assembled(state: StateFolder, spec: str = "", **options: Any) -> LocalStack:
    pipeline = load_text(HEAD + SYMBOL_LINE + spec)
    places = LocalSettings(kafka_jars=Path("/jars"), flink_python=Path("/flink/bin/python"))
    java = Java(program="/java/bin/java", home="/java", version=17)
    return assemble(pipeline, plan(pipeline), RunOptions(**options), state, places, java)


def settings(state: StateFolder, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((state.path / "settings" / f"{name}.json").read_text())
    return found


def test_everything_is_on_the_loopback_with_ports_of_its_own(state: StateFolder) -> None:
    stack = assembled(state)
    names = ["ingestion-binance", "sink-timescale", "sink-redis", "api", "stream-job", "simulator"]
    found = {name: settings(state, name) for name in names}
    assert {one["http"]["host"] for one in found.values()} == {"127.0.0.1"}
    assert len({one["http"]["port"] for one in found.values()}) == len(names)
    assert found["api"]["http"]["port"] == 8000
    kafka = {one["kafka"]["bootstrap_servers"] for one in found.values() if "kafka" in one}
    assert kafka == {stack.broker.address}


def test_each_process_accepts_its_settings(state: StateFolder) -> None:
    assembled(state)
    folder = state.path / "settings"
    ingestion = IngestionSettings.load(folder / "ingestion-binance.json")
    exchange = SimulatorSettings.load(folder / "simulator.json")
    assert ingestion.rest_url == f"http://127.0.0.1:{exchange.http.port}"
    assert ingestion.websocket_url == f"ws://127.0.0.1:{exchange.http.port}"
    assert exchange.symbols == ["BTCUSDT", "ETHUSDT"]
    sink = TimescaleSinkSettings.load(folder / "sink-timescale.json")
    assert sink.store.password is not None
    assert sink.store.password.get_secret_value() == state.password("postgres")
    api = ApiSettings.load(folder / "api.json")
    cache = api.stores.by_kind()["redis"]
    assert isinstance(cache, RedisStoreSettings)
    assert cache.password is not None
    assert cache.password.get_secret_value() == state.password("valkey")
    job = JobSettings.load(folder / "stream-job.json")
    assert job.checkpoint_directory == (state.path / "checkpoints").as_uri()
    assert (job.checkpoint_interval_ms, job.state_backend) == (1_000, "hashmap")


@pytest.mark.parametrize(("asked", "processors", "tasks"), [(256, 8, 8), (256, 1, 2), (3, 8, 3), (1, None, 1)])
def test_the_job_has_no_more_tasks_than_processors(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch, asked: int, processors: int | None, tasks: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    assembled(state, f"  processing: {{parallelism: {asked}}}\n")
    assert settings(state, "stream-job")["parallelism"] == tasks


def test_credentials_of_the_clusters_broker_stay_out(state: StateFolder) -> None:
    assembled(state, "  broker: {username: u, passwordSecret: {name: s}, tls: true}\n")
    assert set(settings(state, "ingestion-binance")["kafka"]) == {"bootstrap_servers"}


def test_a_replay(state: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stack = assembled(state, replay=(Path("a.gz"), Path("b.gz")), speed=None)
    exchange = settings(state, "simulator")
    assert exchange["captures"] == [str(tmp_path / "a.gz"), str(tmp_path / "b.gz")]
    assert exchange["other_exchanges"] == []
    assert exchange["speed"] is None
    assert exchange["symbols"] == []
    assert list(stack.exchanges) == ["binance"]
    assert list(stack.ingestion["binance"][0].after) == [TOPICS, SYMBOLS, "stream-job"]


@pytest.mark.parametrize(("speed", "seconds"), [(20.0, 200), (0.5, 10), (None, 3_600)])
def test_times_may_be_further_ahead_where_they_go_by_faster(
    state: StateFolder, speed: float | None, seconds: int
) -> None:
    assembled(state, replay=(Path("a.gz"),), speed=speed)
    assert settings(state, "ingestion-binance")["max_ahead_ms"] == seconds * 1_000


def test_a_live_exchange_has_the_usual_bound(state: StateFolder) -> None:
    assembled(state, exchange="live")
    assert settings(state, "ingestion-binance")["max_ahead_ms"] == 10_000


@pytest.mark.parametrize(
    ("exchange", "websocket", "rest"),
    [
        ("live", "wss://data-stream.binance.vision", "https://data-api.binance.vision"),
        ("https://h:9", "wss://h:9", "https://h:9"),
    ],
)
def test_an_exchange_elsewhere(state: StateFolder, exchange: str, websocket: str, rest: str) -> None:
    stack = assembled(state, exchange=exchange)
    found = settings(state, "ingestion-binance")
    assert (found["websocket_url"], found["rest_url"]) == (websocket, rest)
    assert not stack.exchanges
    assert list(stack.ingestion["binance"][0].after) == [TOPICS]


def test_an_exchange_that_is_none(state: StateFolder) -> None:
    with pytest.raises(InvalidInput, match=r"--exchange: 'lvie': must be simulated, live, or the URL"):
        assembled(state, exchange="lvie")


def test_order(state: StateFolder) -> None:
    stack = assembled(state)
    after = {component.name: list(component.after) for component in stack.components}
    assert after == {
        "broker": [],
        "postgres": [],
        "valkey": [],
        "simulator": [],
        "ingestion-binance": [TOPICS, SYMBOLS],
        "sink-timescale": [TOPICS, "postgres"],
        "sink-redis": [TOPICS, "valkey"],
        "api": ["valkey", "postgres"],
        "stream-job": [],
    }
    assert list(stack.stop_stages) == [
        ["ingestion-binance"],
        ["simulator"],
        ["stream-job"],
        ["sink-redis", "sink-timescale"],
        ["api"],
        ["broker", "valkey", "postgres"],
    ]


def test_a_sink_that_is_off_has_no_server(state: StateFolder) -> None:
    stack = assembled(state, "  sinks: {redis: {enabled: false}}\n")
    names = {component.name for component in stack.components}
    assert "valkey" not in names
    assert {"postgres", "sink-timescale"} <= names
    assert set(settings(state, "api")["stores"]) == {"timescale"}
    assert state.read_settings(STORES).keys() == {"timescale"}


def test_replicas(state: StateFolder) -> None:
    stack = assembled(state, "  ingestion: {replicas: 2}\n  sinks: {timescale: {replicas: 3}}\n")
    assert [service.name for service in stack.ingestion["binance"]] == ["ingestion-binance-0", "ingestion-binance-1"]
    assert [settings(state, service.name)["replica"] for service in stack.ingestion["binance"]] == [0, 1]
    assert [service.name for service in stack.sinks][1:4] == [f"sink-timescale-{number}" for number in range(3)]


def test_commands(state: StateFolder) -> None:
    stack = assembled(state)
    config = str(state.path / "settings" / "ingestion-binance.json")
    command = stack.ingestion["binance"][0].command()
    assert list(command.arguments) == [sys.executable, "-P", "-m", "marketpipeline", "ingestion", "--config", config]
    assert stack.stream_job is not None
    job = stack.stream_job.command()
    assert list(job.arguments)[:4] == ["/flink/bin/python", "-P", "-m", "marketpipeline_job"]
    assert job.environment["JAVA_HOME"] == "/java"


def test_what_is_off_is_not_there(state: StateFolder) -> None:
    stack = assembled(state, "  feeds: [quotes]\n  sinks: {redis: {enabled: false}}\n  api: {enabled: false}\n")
    assert stack.stream_job is None
    assert stack.api is None
    assert [service.name for service in stack.sinks] == ["sink-timescale"]


def test_the_live_exchange_is_reached_as_the_shell_says(
    state: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:word@proxy:3128")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assembled(state)
    assert settings(state, "ingestion-binance").keys().isdisjoint({"proxy", "ca_file"}), "the loopback is"
    with pytest.raises(InvalidInput, match=r"SSL_CERT_FILE: .*must be a file of certificates"):
        assembled(state, exchange="live")
    (tmp_path / "ca.pem").touch()
    assembled(state, exchange="live")
    found = settings(state, "ingestion-binance")
    assert (found["proxy"], found["ca_file"]) == ("http://user:word@proxy:3128", str(tmp_path / "ca.pem"))


def test_two_stacks_never_have_a_port_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also before their servers listen: of few ports each is given once, and again when its owner is gone."""
    monkeypatch.setattr(ports, "_candidates", lambda _: range(21_000, 21_020))
    one, other = Ports(), Ports()
    taken = [each.take(name) for each in (one, other) for name in ("api", "stream-job", "simulator")]
    assert len(set(taken)) == 6
    assert one.take("api") == taken[0]
    assert one.renew("api") not in taken[1:]
    del one
    assert len({other.take(f"sink-{number}") for number in range(12)}) == 12
