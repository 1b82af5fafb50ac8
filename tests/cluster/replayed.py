"""The pipeline of the cluster suite and its campaigns: exchanges replay captures, on the stack that the charts make.

Captures, depth and thresholds are those of the one-machine test, so the same oracle says what the tables must hold.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from tests.cluster.charts import STACK_CHART, Release
from tests.cluster.deployed import Deployed, deployed
from tests.cluster.image import COMPONENTS, KAFKA, S3, SIMULATOR, STORES, STREAM_JOB
from tests.cluster.kubectl import Kubectl
from tests.cluster.platform import Cluster
from tests.cluster.stack import MANIFESTS, await_service_account, servers_of, stack_values, values
from tests.conftest import wait_for
from tests.e2e import compare, oracle
from tests.e2e.pipeline import SYMBOLS as RECORDED
from tests.support import captures
from tests.support.certificates import Authority

__all__ = [
    "NAME",
    "OPERANDS",
    "OTHER",
    "PIPELINE",
    "SYMBOLS",
    "Pods",
    "check_tables",
    "does_its_work",
    "drained",
    "followed",
    "generations",
    "installed",
    "is_ready",
    "pods",
]

NAME = "replayed"
PIPELINE = f"--selector=marketpipeline.dev/pipeline={NAME}"
OTHER = captures.OKX_SYMBOLS[0]
SYMBOLS: Mapping[str, str] = {**RECORDED, OTHER: captures.OKX}
"""And the capture that each is in; of two exchanges at once."""
_RUNS = ("ingestion", "api", "dashboard", "staleness-check", "sink-timescale", "sink-redis", "maintenance")
OPERANDS = (STREAM_JOB, *(image for image in COMPONENTS if image.name in _RUNS))
Capture = Callable[[str], Path]
Pods = dict[str, tuple[str, int, str]]
"""Of each Pod that runs its identity, how often it was restarted, and its image."""


@contextmanager
def installed(
    cluster: Cluster, kubectl: Kubectl, build: Callable[..., None], capture: Capture, speeds: Mapping[str, float]
) -> Iterator[Release]:
    """The stack with its pipeline, by `helm install`, which is removed at the end where it is still there.

    The exchanges of `speeds` wait with their captures until ingestion reads, and then send so fast.
    """
    symbols = followed(speeds)
    build(KAFKA, STORES, S3, SIMULATOR, *OPERANDS)
    servers = servers_of(kubectl)
    kubectl("create", "namespace", servers.namespace)
    try:
        _guard(kubectl)
        _serve(cluster, kubectl, servers, capture, speeds)
        release = Release(kubectl, STACK_CHART)
        release.install(values=stack_values(kubectl, symbols))
        try:
            yield release
        finally:
            release.uninstall()
            kubectl("delete", "persistentvolume", f"history-{kubectl.namespace}", "--wait=false")
    finally:
        kubectl("delete", "namespace", servers.namespace, "--wait=false")


def _guard(kubectl: Kubectl) -> None:
    """Make the pipeline's namespace one as platform teams give it away."""
    await_service_account(kubectl)
    kubectl("label", "namespace", kubectl.namespace, "pod-security.kubernetes.io/enforce=restricted")
    kubectl.apply(MANIFESTS / "namespace.yaml")


def _serve(cluster: Cluster, kubectl: Kubectl, servers: Kubectl, capture: Capture, speeds: Mapping[str, float]) -> None:
    """The broker and the exchanges, with the Secrets of the pipeline and its stores: an authority, passwords."""
    await_service_account(servers)
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder) / "tls")
        stores = authority.issue("stores", "DNS:market-stack-timescaledb", "DNS:market-stack-redis")
        broker = authority.issue("kafka", f"DNS:kafka.{servers.namespace}.svc.cluster.local")
        files = {"tls.crt": stores.certificate, "tls.key": stores.key, "ca.crt": authority.certificate}
        _secret(kubectl, "stores-tls", files)
        _secret(kubectl, "kafka-authority", {"ca.crt": authority.certificate})
        _secret(servers, "kafka-tls", {"both.pem": broker.both, "ca.crt": authority.certificate})
    for one in (kubectl, servers):
        one("create", "secret", "generic", "kafka-marketpipeline", "--from-literal=password=correct-horse")
    servers.apply(MANIFESTS / "kafka.yaml", values(servers))
    servers.apply(MANIFESTS / "volumes.yaml", values(kubectl))
    for exchange, speed in speeds.items():
        names = {capture(name).name for name in followed((exchange,)).values()}
        replays = ", ".join(f"--replay, /captures/{name}" for name in sorted(names))
        more = {"exchange": exchange, "speed": str(speed), "replays": replays, "captures": cluster.captures()}
        servers.apply(MANIFESTS / "simulator.yaml", values(servers, **more))
    servers("wait", "--for=condition=Complete", "job/volumes", "--timeout=60s", seconds=70)
    servers.await_rollout("deployment/kafka", *(f"deployment/simulator-{exchange}" for exchange in speeds))


def _secret(kubectl: Kubectl, name: str, files: Mapping[str, Path]) -> None:
    kubectl("create", "secret", "generic", name, *(f"--from-file={key}={path}" for key, path in files.items()))


@contextmanager
def drained(kubectl: Kubectl, capture: Capture, speeds: Mapping[str, float]) -> Iterator[Deployed]:
    """The pipeline once the last trade and the last book event of the captures have reached all the tables."""
    of = [(symbol, capture(name), compare.native(symbol)) for symbol, name in followed(speeds).items()]
    trades = {symbol: oracle.trades(path, native)[-1].id for symbol, path, native in of}
    book = {symbol: oracle.book_rows(path, 20, 10, 10, native)[-1].update_id for symbol, path, native in of}
    with deployed(kubectl, NAME, tuple(speeds)) as found:
        found.hurry()
        wait_for(found.replayed, "the exchanges have sent everything", seconds=300, every=1)
        newest = found.tables.newest
        wait_for(lambda: newest("trades", "trade_id") == trades, "the last trades", seconds=120, every=0.5)
        wait_for(lambda: newest("candles", "last_trade_id") == trades, "the last candles", seconds=120, every=0.5)
        wait_for(lambda: newest("book_metrics", "update_id") == book, "the last book events", seconds=120, every=0.5)
        yield found


def followed(exchanges: Container[str]) -> dict[str, str]:
    """The symbols of these exchanges, and the capture that each is in."""
    return {symbol: name for symbol, name in SYMBOLS.items() if symbol.partition(":")[0] in exchanges}


def check_tables(found: Deployed, capture: Capture, symbol: str) -> dict[str, int]:
    """Hold everything that is stored of a symbol against the oracle, but for book events that a gap record names."""
    path = capture(SYMBOLS[symbol])
    gaps = compare.check_gaps(found.tables, symbol, path)
    compare.check_trades(found.tables, symbol, path)
    for minutes in (1, 5):
        compare.check_candles(found.tables, symbol, path, minutes)
    snapshots = found.tables.snapshots(symbol)
    before_sync = compare.check_book(found.tables, symbol, path, gaps, snapshots)
    alerts = compare.check_alerts(found.tables, symbol, path, Decimal(50_000), gaps, snapshots)
    return {"gaps": len(gaps), "before_sync": before_sync, "alerts": len(alerts)}


def pods(kubectl: Kubectl, *selector: str) -> Pods:
    """Those that run; a scheduled job's are of no account."""
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            pod["status"]["containerStatuses"][0]["restartCount"],
            pod["spec"]["containers"][0]["image"],
        )
        for pod in kubectl.get("pods", *selector)["items"]
        if pod["status"]["phase"] == "Running" and pod["metadata"].get("ownerReferences", [{}])[0].get("kind") != "Job"
    }


def generations(kubectl: Kubectl) -> dict[str, int]:
    """Of each Deployment how often its spec was changed: a change that has made no Pod yet is one too."""
    found = kubectl.get("deployments", PIPELINE)["items"]
    return {each["metadata"]["name"]: each["metadata"]["generation"] for each in found}


def is_ready(kubectl: Kubectl) -> bool:
    """Whether the pipeline's status says so, which it does not of one whose exchange is silent."""
    return _holds(kubectl, "Ready")


def does_its_work(kubectl: Kubectl) -> bool:
    """Whether all of its Pods are ready, the stream job and the sinks well: also once a capture has come to its end."""
    every = kubectl.get("pods", PIPELINE)["items"]
    running = [pod for pod in every if pod["status"]["phase"] in ("Pending", "Running")]
    ready = all(
        any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
        for pod in running
    )
    return ready and _holds(kubectl, "ProcessingReady", "SinksReady")


def _holds(kubectl: Kubectl, *conditions: str) -> bool:
    found = kubectl.get("marketpipeline", NAME).get("status", {}).get("conditions", [])
    return {each["type"] for each in found if each["status"] == "True"} >= set(conditions)
