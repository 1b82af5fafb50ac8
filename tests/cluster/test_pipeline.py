"""`kubectl apply` of a MarketPipeline on a real cluster, the operator in a Pod: the tables equal what the captures say.

The captures, the thresholds and the oracle are those of the one-machine test. The job runs as a JobManager and a
TaskManager of the project's image; nothing of the cluster is emulated.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cluster.deployed import Deployed, deployed
from tests.cluster.image import COMPONENTS, KAFKA, OPERATOR, SIMULATOR, STORES, STREAM_JOB
from tests.cluster.kubectl import Kubectl
from tests.cluster.platform import Cluster
from tests.cluster.stack import MANIFESTS, apply_stack, operator_installed, values
from tests.conftest import wait_for
from tests.e2e import compare, oracle
from tests.e2e.pipeline import SYMBOLS

NAME = "replayed"
Capture = Callable[[str], Path]


@pytest.fixture(scope="module")
def operator(kubectl_default: Kubectl, built: Callable[..., None]) -> Iterator[None]:
    built(OPERATOR)
    with operator_installed(kubectl_default):
        yield


@pytest.fixture(scope="module")
def applied(
    cluster: Cluster, kubectl: Kubectl, built: Callable[..., None], operator: None, capture: Capture
) -> Iterator[float]:
    """The moment of `kubectl apply`; the exchange waits with its captures until ingestion reads."""
    built(KAFKA, STORES, SIMULATOR, STREAM_JOB, *COMPONENTS)
    replays = ", ".join(f"--replay, /captures/{capture(name).name}" for name in SYMBOLS.values())
    apply_stack(kubectl)
    kubectl.apply(MANIFESTS / "checkpoints.yaml", values(kubectl))
    kubectl("wait", "--for=condition=Complete", "job/checkpoints", "--timeout=60s", seconds=70)
    kubectl.apply(MANIFESTS / "simulator.yaml", values(kubectl, replays=replays, captures=cluster.captures()))
    kubectl.await_rollout("deployment/simulator")
    began = time.monotonic()
    kubectl.apply(MANIFESTS / "pipeline.yaml", values(kubectl))
    yield began
    kubectl("delete", "marketpipeline", NAME, "--ignore-not-found", "--timeout=240s", seconds=250)
    kubectl("delete", "persistentvolume", f"checkpoints-{kubectl.namespace}", "--wait=false")


@pytest.fixture(scope="module")
def ready(kubectl: Kubectl, applied: float) -> float:
    """Seconds from `kubectl apply` until the MarketPipeline said Ready."""
    kubectl("wait", "--for=condition=Ready", f"marketpipeline/{NAME}", "--timeout=240s", seconds=250)
    return time.monotonic() - applied


@pytest.fixture(scope="module")
def drained(kubectl: Kubectl, ready: float, capture: Capture) -> Iterator[Deployed]:
    """The pipeline once the last trade and the last book event of the captures have reached all the tables."""
    trades = {symbol: oracle.trades(capture(name))[-1].id for symbol, name in SYMBOLS.items()}
    book = {
        symbol: max(e["u"] for e in oracle.events(capture(name), "@depth@100ms")) for symbol, name in SYMBOLS.items()
    }
    with deployed(kubectl, NAME) as found:
        wait_for(found.replayed, "the exchange has sent everything", seconds=300, every=1)
        newest = found.tables.newest
        wait_for(lambda: newest("trades", "trade_id") == trades, "the last trades", seconds=120, every=0.5)
        wait_for(lambda: newest("candles", "last_trade_id") == trades, "the last candles", seconds=120, every=0.5)
        wait_for(lambda: newest("book_metrics", "update_id") == book, "the last book events", seconds=120, every=0.5)
        yield found


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
    assert (name, phase, is_ready, symbols) == (NAME, "Running", "True", "2")
    running, wanted = processes.split("/")
    assert running == wanted


def test_pods_are_restricted(kubectl: Kubectl, ready: float) -> None:
    """As the `restricted` Pod security standard wants it: the API server itself says what would break it."""
    command = kubectl.command(
        "label", "--dry-run=server", "--overwrite", "namespace", kubectl.namespace,
        "pod-security.kubernetes.io/enforce=restricted",
    )  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr
    assert "simulator" in said, "the test's own exchange reads a folder of the node"
    assert NAME not in said


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_trade_once(drained: Deployed, capture: Capture, symbol: str) -> None:
    compare.check_trades(drained.tables, symbol, capture(SYMBOLS[symbol]))


@pytest.mark.parametrize("minutes", [1, 5])
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_candle(drained: Deployed, capture: Capture, symbol: str, minutes: int) -> None:
    compare.check_candles(drained.tables, symbol, capture(SYMBOLS[symbol]), minutes)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_book_event(drained: Deployed, capture: Capture, symbol: str) -> None:
    before_sync = compare.check_book(drained.tables, symbol, capture(SYMBOLS[symbol]))
    assert before_sync <= 20, f"{before_sync} events passed before the book was synchronised"


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_alert(drained: Deployed, capture: Capture, symbol: str) -> None:
    compare.check_alerts(drained.tables, symbol, capture(SYMBOLS[symbol]), Decimal(50_000))


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_nothing_is_missing_and_nothing_was_refused(drained: Deployed, symbol: str) -> None:
    kinds = {row["kind"] for row in drained.tables.query("gaps", symbol)}
    assert "gap" not in kinds, kinds


@pytest.mark.parametrize("minutes", [1, 5])
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_candle_through_the_api(drained: Deployed, capture: Capture, symbol: str, minutes: int) -> None:
    compare.check_candles(drained.served, symbol, capture(SYMBOLS[symbol]), minutes)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_alert_through_the_api(drained: Deployed, capture: Capture, symbol: str) -> None:
    compare.check_alerts(drained.served, symbol, capture(SYMBOLS[symbol]), Decimal(50_000))


def test_the_newest_values_come_from_the_cache(drained: Deployed, capture: Capture) -> None:
    """The sink into Valkey wrote them: the API says which store answered."""
    answer = drained.served.get("/api/v1/market/realtime")
    prices = {moment["symbol"]: Decimal(repr(moment["price"])) for moment in answer["symbols"]}
    assert answer["source"] == "redis"
    assert prices == {symbol: oracle.trades(capture(name))[-1].price for symbol, name in SYMBOLS.items()}


def test_deleting_it_removes_every_child_and_keeps_the_data(kubectl: Kubectl, drained: Deployed) -> None:
    kubectl("delete", "marketpipeline", NAME, "--timeout=240s", seconds=250)
    kubectl.await_gone("deployments,configmaps,cronjobs,services,poddisruptionbudgets,networkpolicies",
                       f"--selector=marketpipeline.dev/pipeline={NAME}")  # fmt: skip
    kubectl.await_gone("pods", f"--selector=marketpipeline.dev/pipeline={NAME}", seconds=90)
    assert drained.tables.newest("trades", "trade_id").keys() == SYMBOLS.keys()
