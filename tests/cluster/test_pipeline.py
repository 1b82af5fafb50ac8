"""Two charts installed on a real cluster: the tables equal what the captures say, and what helm does harms nothing.

The captures, the thresholds and the oracle are those of the one-machine test. The job runs as a JobManager and a
TaskManager of the project's image; nothing of the cluster is emulated.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.cluster import replayed
from tests.cluster.charts import Release
from tests.cluster.deployed import Deployed, Served, Tables, history
from tests.cluster.image import COMPONENTS, OPERATOR
from tests.cluster.kubectl import Kubectl
from tests.cluster.platform import Cluster
from tests.cluster.replayed import NAME, PIPELINE, SYMBOLS, Pods, generations, pods
from tests.cluster.stack import operator_installed, run_python, stack_values
from tests.conftest import PROJECT, wait_for
from tests.e2e import compare, oracle

SPEEDS = {"binance": 0.7, "okx": 0.05}
"""How fast each exchange sends until everything was replaced once: for three minutes at least, and never silent."""
NEXT = "next"
"""The tag of a release that follows."""
RELEASED = (f"--set=image.tag={NEXT}", f"--set=images.tag={NEXT}")
Capture = Callable[[str], Path]


@pytest.fixture(scope="module")
def operator(kubectl_default: Kubectl, built: Callable[..., None]) -> Iterator[Release]:
    built(OPERATOR)
    with operator_installed(kubectl_default) as release:
        yield release


@pytest.fixture(scope="module")
def stack(
    cluster: Cluster, kubectl: Kubectl, built: Callable[..., None], operator: Release, capture: Capture
) -> Iterator[Release]:
    with replayed.installed(cluster, kubectl, built, capture, SPEEDS) as release:
        yield release


@pytest.fixture(scope="module")
def ready(kubectl: Kubectl, stack: Release) -> float:
    """Seconds that the MarketPipeline took to say Ready, from when the stores had."""
    began = time.monotonic()
    kubectl("wait", "--for=condition=Ready", f"marketpipeline/{NAME}", "--timeout=400s", seconds=410)
    return time.monotonic() - began


@dataclass(frozen=True)
class Upgraded:
    """Pods and generations of Deployments, before and under a new operator; the Pods once that replaced them."""

    before: tuple[Pods, dict[str, int]]
    under_a_new_operator: tuple[Pods, dict[str, int]]
    replaced: Pods


@pytest.fixture(scope="module")
def upgraded(cluster: Cluster, kubectl: Kubectl, operator: Release, ready: float) -> Upgraded:
    """In the middle of the replay a release of the operator's image, then one of all the images that it hands on."""
    for image in (OPERATOR, *replayed.OPERANDS):
        cluster.retag(image, NEXT)
    before = pods(kubectl, PIPELINE), generations(kubectl)
    operator.install(f"--set=image.tag={NEXT}")
    wait_for(lambda: passes(operator) >= 2, "the new operator has looked at the pipeline", seconds=90)
    then = pods(kubectl, PIPELINE), generations(kubectl)
    operator.install(*RELEASED)
    wait_for(lambda: tags(kubectl) == {NEXT} and replayed.does_its_work(kubectl), "all is replaced", seconds=400)
    return Upgraded(before, then, pods(kubectl, PIPELINE))


@pytest.fixture(scope="module")
def drained(kubectl: Kubectl, upgraded: Upgraded, capture: Capture) -> Iterator[Deployed]:
    with replayed.drained(kubectl, capture, SPEEDS) as found:
        yield found


def fields(spec: Mapping[str, Any], under: str = "") -> set[str]:
    """The paths of a spec's fields; lists and references to Secrets count as one each."""
    found = set()
    for name, value in spec.items():
        inner = isinstance(value, Mapping) and not name.endswith("Secret")
        found |= fields(value, f"{under}{name}.") if inner else {f"{under}{name}"}
    return found


def tags(kubectl: Kubectl) -> set[str]:
    return {image.rpartition(":")[2] for _, _, image in pods(kubectl, PIPELINE).values()}


def secrets_seen(kubectl: Kubectl) -> bool:
    """Whether the operator knows the Secrets in the version that they have."""
    versions = {
        each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in kubectl.get("secrets")["items"]
    }
    seen = kubectl.get("marketpipeline", NAME)["status"]["secrets"]
    return all(versions[each["name"]] == each["version"] for each in seen)


def passes(operator: Release) -> float:
    """How often this process of the operator has looked at a pipeline to the end."""
    with operator.kubectl.forward(f"service/{operator.name}-metrics", 9100) as port:
        text = Served(f"http://127.0.0.1:{port}").text("/metrics")
    found = re.findall(r'(?m)^marketpipeline_operator_reconciles_total\{.*result="ok".*\} ([0-9.]+)', text)
    return sum(map(float, found))


def test_the_pipeline_becomes_ready_and_says_so(
    kubectl: Kubectl, ready: float, record_property: Callable[[str, object], None]
) -> None:
    record_property("seconds to Ready", round(ready, 1))
    found = kubectl.get("marketpipeline", NAME)
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    conditions = {each["type"]: each["status"] for each in found["status"]["conditions"]}
    assert conditions["Ready"] == "True"
    assert {name for name, status in conditions.items() if status == "True"} >= {
        "TopicsReady",
        "IngestionReady",
        "ProcessingReady",
        "SinksReady",
    }
    name, phase, is_ready, processes, _flowing, symbols, *_ = kubectl("get", "mp", NAME, "--no-headers").split()
    assert (name, phase, is_ready, symbols) == (NAME, "Running", "True", "3")
    running, wanted = processes.split("/")
    assert running == wanted


def test_it_runs_as_the_production_sample_says(kubectl: Kubectl, ready: float) -> None:
    """Field by field, in a namespace that takes only `restricted` Pods, but for where Strimzi is: it has no image here.

    What needs more than one node, or Flink's operator, is a field with another value.
    """
    sample = yaml.safe_load((PROJECT / "manifests" / "production.yaml").read_text())["spec"]
    running = kubectl.get("marketpipeline", NAME)["spec"]
    assert fields(sample) - fields(running) == {"broker.cluster", "broker.namespace"}
    assert running["broker"]["saslMechanism"] == sample["broker"]["saslMechanism"]
    assert running["sinks"]["redis"]["url"].startswith("rediss://")
    assert running["processing"]["checkpointDirectory"].startswith("s3://")


def test_an_upgrade_of_the_operator_restarts_nothing_and_its_images_are_rolled_out(upgraded: Upgraded) -> None:
    """That nothing is lost meanwhile, is what all the tests that follow say."""
    assert len(upgraded.before[0]) == len(upgraded.before[1]) == 8
    assert upgraded.under_a_new_operator == upgraded.before
    images = {image.rpartition("/")[2] for _, _, image in upgraded.replaced.values()}
    running = ("ingestion", "api", "dashboard", "sink-timescale", "sink-redis", "stream-job")
    assert images == {f"{name}:{NEXT}" for name in running}


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_trade_once(drained: Deployed, capture: Capture, symbol: str) -> None:
    compare.check_trades(drained.tables, symbol, capture(SYMBOLS[symbol]))


@pytest.mark.parametrize("minutes", [1, 5])
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_candle(drained: Deployed, capture: Capture, symbol: str, minutes: int) -> None:
    compare.check_candles(drained.tables, symbol, capture(SYMBOLS[symbol]), minutes)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_book_event(drained: Deployed, capture: Capture, symbol: str) -> None:
    snapshots = drained.tables.snapshots(symbol)
    compare.check_book(drained.tables, symbol, capture(SYMBOLS[symbol]), (), snapshots)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_alert(drained: Deployed, capture: Capture, symbol: str) -> None:
    snapshots = drained.tables.snapshots(symbol)
    compare.check_alerts(drained.tables, symbol, capture(SYMBOLS[symbol]), Decimal(50_000), (), snapshots)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_nothing_is_missing_and_nothing_was_refused(drained: Deployed, symbol: str) -> None:
    assert drained.tables.query("gaps", symbol) == []


@pytest.mark.parametrize("minutes", [1, 5])
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_candle_through_the_api(drained: Deployed, capture: Capture, symbol: str, minutes: int) -> None:
    compare.check_candles(drained.served, symbol, capture(SYMBOLS[symbol]), minutes)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_alert_through_the_api(drained: Deployed, capture: Capture, symbol: str) -> None:
    snapshots = drained.tables.snapshots(symbol)
    compare.check_alerts(drained.served, symbol, capture(SYMBOLS[symbol]), Decimal(50_000), (), snapshots)


def test_the_newest_values_come_from_the_cache(drained: Deployed, capture: Capture) -> None:
    """The sink into Valkey wrote them: the API says which store answered."""
    answer = drained.served.get("/api/v1/market/realtime")
    prices = {moment["symbol"]: Decimal(repr(moment["price"])) for moment in answer["symbols"]}
    assert answer["source"] == "redis"
    assert prices == {
        symbol: oracle.trades(capture(name), compare.native(symbol))[-1].price for symbol, name in SYMBOLS.items()
    }


def test_the_dashboard_serves_its_page_and_hears_the_api(kubectl: Kubectl, ready: float) -> None:
    with kubectl.forward(f"service/{NAME}-dashboard", 8501) as port:
        page = Served(f"http://127.0.0.1:{port}")
        wait_for(lambda: page.get("/health") == {"status": "ok", "stream": "live"}, "the stream of the API")
        assert "streamlit" in page.text("/").lower()


def test_the_stores_ask_for_their_passwords(kubectl: Kubectl, drained: Deployed) -> None:
    """The pipeline's user may not do all, and nobody comes in with another password."""
    client = {image.name: image for image in COMPONENTS}
    program = """
        import os, psycopg
        with open("/tmp/ca.crt", "w") as file:
            file.write(os.environ["AUTHORITY"])
        url = "postgresql://marketpipeline:{}@market-stack-timescaledb/marketpipeline"
        url += "?sslmode=verify-full&sslrootcert=/tmp/ca.crt"
        with psycopg.connect(url.format(os.environ["PASSWORD"])) as connection:
            query = "SELECT rolname, rolsuper FROM pg_roles WHERE rolname IN (current_user, 'grafana') ORDER BY 1"
            print(connection.execute(query).fetchall())
        try:
            psycopg.connect(url.format("wrong"))
        except psycopg.OperationalError as error:
            print("password authentication failed" in str(error))
        """
    printed = run_python(kubectl, client["sink-timescale"], program, secret=("market-stack-timescaledb", "password"))
    assert printed == "[('grafana', False), ('marketpipeline', False)]\nTrue"
    program = """
        import os, redis
        with open("/tmp/ca.crt", "w") as file:
            file.write(os.environ["AUTHORITY"])
        tls = {"host": "market-stack-redis", "ssl": True, "ssl_ca_certs": "/tmp/ca.crt"}
        print(redis.Redis(password=os.environ["PASSWORD"], **tls).ping())
        try:
            redis.Redis(**tls).ping()
        except redis.AuthenticationError:
            print("refused")
        """
    printed = run_python(kubectl, client["sink-redis"], program, secret=("market-stack-redis", "password"))
    assert printed == "True\nrefused"


def test_helm_test_reads_a_candle_of_the_api(stack: Release, operator: Release, drained: Deployed) -> None:
    """Its programs end well only with one; the operator's only when it holds its Lease."""
    for release in (stack, operator):
        assert re.findall(r"^Phase: +(\w+)$", release.test(), flags=re.MULTILINE) == ["Succeeded"]


def test_an_upgrade_and_a_rollback_restart_what_changed_and_no_more(
    kubectl: Kubectl, stack: Release, operator: Release, drained: Deployed
) -> None:
    """Every object gets a label, and one part another setting."""

    def every() -> Pods:
        return pods(kubectl) | pods(operator.kubectl)

    before = every()
    assert len(before) >= 12
    operator.install(*RELEASED, "--set=commonLabels.team=markets")
    stack.install(
        "--set=commonLabels.team=markets", "--set=redis.maxMemory=80mb", values=stack_values(kubectl, SYMBOLS)
    )
    assert kubectl.get("marketpipeline", NAME)["metadata"]["labels"]["team"] == "markets"
    wait_for(lambda: secrets_seen(kubectl), "the operator has looked at the Secrets, which have another label")
    changed = every()
    assert {name for name in before if changed.get(name) != before[name]} == {"market-stack-redis-0"}
    stack.rollback()
    restored = every()
    assert {name for name in changed if restored.get(name) != changed[name]} == {"market-stack-redis-0"}
    assert "96mb" in kubectl.get("pod", "market-stack-redis-0")["spec"]["containers"][0]["args"]


def test_uninstalling_ends_the_pipeline_and_keeps_its_data(
    kubectl: Kubectl, stack: Release, operator: Release, drained: Deployed
) -> None:
    """Its history is there with the next installation, and the CRD when the operator is gone too."""
    trades = drained.tables.newest("trades", "trade_id")
    stack.uninstall()
    kubectl.await_gone("marketpipelines")
    kubectl.await_gone("deployments,configmaps,cronjobs,services,poddisruptionbudgets,networkpolicies",
                       f"--selector=marketpipeline.dev/pipeline={NAME}")  # fmt: skip
    kubectl.await_gone("pods", f"--selector=marketpipeline.dev/pipeline={NAME}", seconds=90)
    kubectl.await_gone("pods", "--selector=app.kubernetes.io/instance=market-stack", seconds=90)
    stack.install("--set=pipeline.enabled=false", "--set=redis.enabled=false", values=stack_values(kubectl, SYMBOLS))
    with history(kubectl, "grafana", "grafana") as connection:
        assert Tables(connection).newest("trades", "trade_id") == trades
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("DELETE FROM trades")
    assert trades.keys() == SYMBOLS.keys()
    operator.uninstall()
    assert kubectl.get("crd", "marketpipelines.marketpipeline.dev")["metadata"]["name"]
