"""How many pipelines one operator bears: `python -m benchmarks.operator [--pipelines 200]`.

A real API server without a node (tests/cluster/kube), a real broker, and the operator as a process of its own. Told:
the time from the first `create` until every pipeline has all its children and its thresholds are written, the
operator's memory, and what it costs when nothing changes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.kinds import CHILD_KINDS, PIPELINE_KIND

from tests.cluster.platform import OneNode
from tests.conftest import JARS, PROJECT, free_port
from tests.support.broker import RunningBroker
from tests.support.tied import tied

CLUSTER = "operator-benchmark"
NAMESPACES = 4


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
        process.terminate()
        process.wait(30)


def pipeline(number: int, broker: str) -> dict[str, Any]:
    """One of many: every component, one partition a topic."""
    return {
        "apiVersion": PIPELINE_KIND.api_version,
        "kind": PIPELINE_KIND.kind,
        "metadata": {"name": f"p{number:03}", "namespace": f"bench-{number % NAMESPACES}"},
        "spec": {
            "symbols": ["binance:BTCUSDT", "binance:ETHUSDT"],
            "feeds": ["trades"],
            "broker": {"bootstrapServers": broker, "partitions": 1, "topicPrefix": f"bench-{number:03}"},
            "processing": {"mode": "standalone"},
        },
    }


async def complete(kubernetes: Kubernetes) -> int:
    """Pipelines whose children are all there and whose thresholds are in their topic."""
    done = 0
    async for thing in kubernetes.list(PIPELINE_KIND, None):
        topics = (thing.get("status") or {}).get("topics", {})
        counts = {entry["name"]: entry["desired"] for entry in (thing.get("status") or {}).get("components", [])}
        done += "rules" in topics and counts.get("stream-job") == 1
    return done


async def children(kubernetes: Kubernetes) -> int:
    """Children of all pipelines."""
    count = 0
    for kind in CHILD_KINDS:
        async for _ in kubernetes.list(kind, None, "app.kubernetes.io/managed-by=marketpipeline-operator"):
            count += 1
    return count


def requests(port: int) -> float:
    """Requests of the operator to the API server so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(
        float(line.rpartition(" ")[2]) for line in lines if line.startswith("marketpipeline_operator_requests_total")
    )


async def measure(kubeconfig: Path, broker: str, wanted: int, idle: float) -> None:
    kubernetes = Kubernetes.connect(kubeconfig=str(kubeconfig))
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="operator-benchmark-"))
    with operator(kubeconfig, folder, port) as process:
        await asyncio.sleep(8)
        print(f"idle without pipelines: {process.memory_info().rss / 2**20:.0f} MB")
        began = time.monotonic()
        for number in range(wanted):
            await kubernetes.create(PIPELINE_KIND, f"bench-{number % NAMESPACES}", pipeline(number, broker))
        print(f"{wanted} created after {time.monotonic() - began:.1f} s")
        peak = 0.0
        while (done := await complete(kubernetes)) < wanted and time.monotonic() - began < 600:
            peak = max(peak, process.memory_info().rss / 2**20)
            await asyncio.sleep(1)
        print(f"{done} complete after {time.monotonic() - began:.1f} s, {await children(kubernetes)} children")
        cpu = process.cpu_times()
        print(f"processor time {cpu.user + cpu.system:.1f} s, memory at most {peak:.0f} MB")
        await asyncio.sleep(30)
        before, cpu, asked = time.monotonic(), process.cpu_times(), requests(port)
        await asyncio.sleep(idle)
        after = process.cpu_times()
        share = (after.user + after.system - cpu.user - cpu.system) / (time.monotonic() - before)
        print(
            f"nothing changes for {idle:g} s: {share:.1%} of a core, {requests(port) - asked:.0f} requests "
            f"(the Lease's own: about {2 * idle / 5:.0f}), {process.memory_info().rss / 2**20:.0f} MB"
        )
    kubernetes.close()
    print(f"log: {folder}/operator.log; load of the machine {os.getloadavg()[0]:.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pipelines", type=int, default=200)
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
        documents = [*(PROJECT / "crds").glob("*.yaml"), PROJECT / "manifests" / "operator" / "namespace.yaml"]
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
