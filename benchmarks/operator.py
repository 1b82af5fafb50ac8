"""How many pipelines one operator bears: `python -m benchmarks.operator [--pipelines 1000]`.

A real control plane without a node (tests/cluster/kube), a real broker, and the operator as a process of its own. Told:
the time from the first `create` until every pipeline has all its children and its thresholds are written, the
operator's memory, what it costs when all of them run and nothing changes, and then how long one more pipeline takes and
one child that is deleted. What a kubelet and Flink's operator would say, this program says, and so it does what the
processes would: their `/health` is asked as ever.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import yaml
from confluent_kafka.admin import AdminClient
from marketpipeline.plan import plan
from marketpipeline.spec import load_object
from marketpipeline.telemetry import Health
from marketpipeline.telemetry.health import HealthServer
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.errors import KindMissing
from marketpipeline_operator.cluster.kinds import (
    CHILD_KINDS,
    LEASE,
    OPTIONAL_KINDS,
    PIPELINE_KIND,
    POD,
    Kind,
    kind_of,
)
from marketpipeline_operator.names import Object
from marketpipeline_operator.settings import LeaseSettings

from tests.cluster.platform import OneNode
from tests.conftest import JARS, PROJECT, free_port
from tests.support.broker import RunningBroker
from tests.support.tied import tied

CLUSTER = "operator-benchmark"
NAMESPACES = 4
ADDRESS = "127.77.0.3"
"""Where every Pod is, as its status says."""
FLINK_CRD = PROJECT / "tests" / "operator" / "flink_crd.yaml"
FLINK = next(kind for kind in OPTIONAL_KINDS if kind.kind == "FlinkDeployment")
CRON_JOB = next(kind for kind in CHILD_KINDS if kind.kind == "CronJob")


@contextmanager
def operator(kubeconfig: Path, folder: Path, port: int) -> Iterator[psutil.Process]:
    """The operator's process; its log is in `folder`."""
    settings = {"http": {"host": "127.0.0.1", "port": port}, "telemetry": {"log_level": "WARNING"}}
    (folder / "settings.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "marketpipeline_operator", "--config", str(folder / "settings.json")]
    with (folder / "operator.log").open("wb") as log:
        environment = os.environ | {"KUBECONFIG": str(kubeconfig)}
        process = subprocess.Popen(tied(command), env=environment, stdout=log, stderr=log)
    try:
        yield psutil.Process(process.pid)
    finally:
        began = time.monotonic()
        process.terminate()
        process.wait(120)
        print(f"stopped {time.monotonic() - began:.1f} s after SIGTERM, with status {process.returncode}")


def pipeline(number: int, broker: str) -> dict[str, Any]:
    """One of many: every component, one partition a topic."""
    return {
        "apiVersion": PIPELINE_KIND.api_version,
        "kind": PIPELINE_KIND.kind,
        "metadata": {"name": f"p{number:04}", "namespace": f"bench-{number % NAMESPACES}"},
        "spec": {
            "symbols": ["binance:BTCUSDT", "binance:ETHUSDT"],
            "feeds": ["trades"],
            "broker": {"bootstrapServers": broker, "partitions": 1, "topicPrefix": f"bench-{number:04}"},
            "processing": {"mode": "operator"},
        },
    }


async def complete(kubernetes: Kubernetes) -> int:
    """Pipelines whose children are all there and whose thresholds are in their topic."""
    done = 0
    async for thing in kubernetes.list(PIPELINE_KIND, None):
        status = thing.get("status") or {}
        counts = {entry["name"]: entry["desired"] for entry in status.get("components", [])}
        done += "thresholds" in status.get("topics", {}) and counts.get("stream-job") == 1
    return done


async def running(kubernetes: Kubernetes) -> int:
    """Pipelines that say that they run."""
    found = [thing.get("status") or {} async for thing in kubernetes.list(PIPELINE_KIND, None)]
    return sum(status.get("phase") == "Running" for status in found)


async def ours(kubernetes: Kubernetes, *kinds: Kind) -> list[Object]:
    """Everything of `kinds` that belongs to a pipeline."""
    selector = "app.kubernetes.io/managed-by=marketpipeline-operator"
    return [thing for kind in kinds async for thing in kubernetes.list(kind, None, selector)]


async def be_the_others(kubernetes: Kubernetes) -> None:
    """Say what the kubelet says of a Pod that runs, and Flink's operator of a job that does."""
    for thing in await ours(kubernetes, POD, FLINK):
        metadata, status = thing["metadata"], thing.get("status", {})
        if thing["kind"] == "FlinkDeployment" and status.get("lifecycleState") != "STABLE":
            found = {"observedGeneration": metadata["generation"], "jobStatus": {"state": "RUNNING"}}
            status = found | {"lifecycleState": "STABLE", "jobManagerDeploymentStatus": "READY"}
        elif thing["kind"] == "Pod" and status.get("phase") != "Running":
            status = {"phase": "Running", "podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]}
            status["conditions"] = [{"type": "Ready", "status": "True"}]
        else:
            continue
        with contextlib.suppress(KindMissing):  # the Pod of a scheduled job has ended meanwhile
            await kubernetes.merge(
                kind_of(thing), metadata["namespace"], metadata["name"], {"status": status}, subresource="status"
            )


def requests(port: int) -> Counter[str]:
    """Requests of the operator to the API server so far, as "verb resource status"."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found: Counter[str] = Counter()
    for line in lines:
        if line.startswith("marketpipeline_operator_requests_total"):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
            found[f"{labels['verb']} {labels['resource']} {labels['status']}"] = int(float(line.rpartition(" ")[2]))
    return found


async def quiet(port: int) -> None:
    """Wait until the operator asks for nothing but its Lease any more."""
    before = requests(port)
    while True:
        await asyncio.sleep(15)
        now = requests(port)
        if all("leases" in what for what in now - before):
            return
        before = now


async def measure(kubeconfig: Path, broker: str, wanted: int, idle: float) -> None:
    kubernetes = Kubernetes.connect(kubeconfig=str(kubeconfig))
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="operator-benchmark-"))
    with operator(kubeconfig, folder, port) as process, healthy():
        await working(kubernetes)
        print(f"idle without pipelines: {process.memory_info().rss / 2**20:.0f} MB")
        await one_more(kubernetes, broker, 5)
        await fill(kubernetes, broker, process, range(wanted))
        await run(kubernetes, wanted)
        await rest(process, port, idle)
        await one_more(kubernetes, broker, 20)
    kubernetes.close()
    print(f"log: {folder}/operator.log; load of the machine {os.getloadavg()[0]:.1f}")


@contextmanager
def healthy() -> Iterator[None]:
    """What answers for every process: it is well, and reads and stores."""

    def well() -> Health:
        count = int(time.monotonic() * 100)
        return Health("ok", {"frames": count, "rows": count, "lag": 0, "gaps": 0})

    servers = [HealthServer(ADDRESS, port, well, lambda: b"") for port in (8000, 9100)]
    try:
        yield
    finally:
        for server in servers:
            server.close()


async def fill(kubernetes: Kubernetes, broker: str, process: psutil.Process, numbers: range) -> None:
    """Create pipelines at once, until all of them are complete."""
    began, peak = time.monotonic(), 0.0
    for number in numbers:
        await kubernetes.create(PIPELINE_KIND, f"bench-{number % NAMESPACES}", pipeline(number, broker))
    print(f"{len(numbers)} created after {time.monotonic() - began:.1f} s")
    while (done := await complete(kubernetes)) < numbers.stop and time.monotonic() - began < 1800:
        peak = max(peak, process.memory_info().rss / 2**20)
        await asyncio.sleep(1)
    print(f"{done} complete after {time.monotonic() - began:.1f} s")
    cpu = process.cpu_times()
    print(f"processor time {cpu.user + cpu.system:.1f} s, memory at most {peak:.0f} MB")
    print(f"{len(await ours(kubernetes, *CHILD_KINDS, FLINK))} children")


async def run(kubernetes: Kubernetes, wanted: int) -> None:
    """Until all of them say that they run."""
    began = time.monotonic()
    while await running(kubernetes) < wanted and time.monotonic() - began < 1800:
        await be_the_others(kubernetes)
        await asyncio.sleep(1)
    print(f"{await running(kubernetes)} run after {time.monotonic() - began:.0f} s more")


async def rest(process: psutil.Process, port: int, idle: float) -> None:
    """What the operator takes while nothing changes."""
    await quiet(port)
    began, cpu, asked = time.monotonic(), process.cpu_times(), requests(port)
    await asyncio.sleep(idle)
    after, passed = process.cpu_times(), time.monotonic() - began
    share = (after.user + after.system - cpu.user - cpu.system) / passed
    print(f"nothing changes for {passed:.0f} s: {share:.1%} of a core, {process.memory_info().rss / 2**20:.0f} MB")
    for what, number in (requests(port) - asked).items():
        print(f"  {number} {what}")


async def one_more(kubernetes: Kubernetes, broker: str, times: int) -> None:
    """From the creation of one pipeline to its topics and the last of its children, and each child deleted by hand."""
    whole, slowest = [], 0.0
    for number in range(times):
        whole.append(await one(kubernetes, broker, f"alone{number}"))
        if number == 0:
            slowest = await deleted(kubernetes, f"alone{number}")
        await kubernetes.delete(PIPELINE_KIND, "bench-0", f"alone{number}")
        await until(partial(gone, kubernetes, "bench-0", f"alone{number}"))
    whole.sort()
    text = f"p50 {whole[len(whole) // 2]:.2f} s, the slowest {whole[-1]:.2f} s"
    print(f"one pipeline more, {times} times: its topics and children after {text}")
    print(f"each of its children deleted by hand: back after {slowest:.2f} s at most")


async def one(kubernetes: Kubernetes, broker: str, name: str) -> float:
    """Seconds until a new pipeline has its topics and the last of its children."""
    thing = pipeline(0, broker)
    thing["metadata"]["name"] = thing["spec"]["broker"]["topicPrefix"] = name
    admin, began = AdminClient({"bootstrap.servers": broker}), time.monotonic()
    wanted = {topic.name for topic in plan(load_object(thing)).topics}

    async def topics() -> bool:
        return wanted <= set((await asyncio.to_thread(admin.list_topics, timeout=10)).topics)

    async def last() -> bool:
        last = await kubernetes.get(CRON_JOB, "bench-0", f"{name}-staleness")
        return last is not None and await kubernetes.get(FLINK, "bench-0", f"{name}-job") is not None

    await kubernetes.create(PIPELINE_KIND, "bench-0", thing)
    await until(last)
    after = time.monotonic() - began
    await until(topics)
    return after


async def deleted(kubernetes: Kubernetes, name: str) -> float:
    """Seconds until a child that was deleted is back, of the slowest."""
    mine, slowest = f"marketpipeline.dev/pipeline={name}", 0.0
    children = [thing for kind in (*CHILD_KINDS, FLINK) async for thing in kubernetes.list(kind, "bench-0", mine)]
    for child in children:
        kind, metadata = kind_of(child), child["metadata"]

        async def back(kind: Kind = kind, name: str = metadata["name"], uid: str = metadata["uid"]) -> bool:
            now = await kubernetes.get(kind, "bench-0", name)
            return now is not None and bool(now["metadata"]["uid"] != uid)

        await kubernetes.delete(kind, "bench-0", metadata["name"])
        slowest = max(slowest, await until(back))
    return slowest


async def until(condition: Callable[[], Awaitable[bool]]) -> float:
    """Seconds until it holds."""
    began = time.monotonic()
    while True:
        if await condition():
            return time.monotonic() - began
        await asyncio.sleep(0.02)


async def gone(kubernetes: Kubernetes, namespace: str, name: str) -> bool:
    """Whether a pipeline is no more."""
    return await kubernetes.get(PIPELINE_KIND, namespace, name) is None


async def working(kubernetes: Kubernetes) -> None:
    """Wait until the operator holds its Lease."""
    while True:
        lease = await kubernetes.get(LEASE, LeaseSettings().namespace, LeaseSettings().name)
        if lease and lease["spec"].get("holderIdentity"):
            return
        await asyncio.sleep(0.5)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pipelines", type=int, default=1000)
    parser.add_argument("--idle", type=float, default=120, help="seconds of watching it do nothing")
    arguments = parser.parse_args()
    cluster = OneNode(CLUSTER, node=False)
    if missing := cluster.missing():
        print(missing)
        return 1
    java = shutil.which("java")
    assert java is not None
    running = RunningBroker(java, JARS / "kafka", Path(tempfile.mkdtemp(prefix="operator-benchmark-")) / "kafka")
    try:
        kubeconfig, kubectl = cluster.up(), cluster.kubectl()
        running.start()
        documents = [*(PROJECT / "crds").glob("*.yaml"), FLINK_CRD, PROJECT / "manifests/operator/namespace.yaml"]
        names = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"bench-{n}"}} for n in range(NAMESPACES)
        ]
        apply = [kubectl, f"--kubeconfig={kubeconfig}", "apply", "--server-side", "--filename"]
        for path in documents:
            subprocess.run([*apply, str(path)], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*apply, "-"], input=yaml.safe_dump_all(names), text=True, check=True, stdout=subprocess.DEVNULL)
        asyncio.run(measure(kubeconfig, running.address, arguments.pipelines, arguments.idle))
    finally:
        running.stop()
        cluster.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
