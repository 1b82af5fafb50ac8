"""How many pipelines one operator bears: `python -m benchmarks.operator [--pipelines 200]`.

A real control plane without a node (tests/cluster/kube), a real broker, and the operator as a process of its own. Told:
the time from the first `create` until every pipeline has all its children and its thresholds are written, the
operator's memory, and what it costs when all of them run and nothing changes. What a kubelet and Flink's operator would
say, this program says.
"""

from __future__ import annotations

import argparse
import asyncio
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
from pathlib import Path
from typing import Any

import psutil
import yaml
from confluent_kafka.admin import AdminClient
from marketpipeline.plan import plan
from marketpipeline.spec import load_object
from marketpipeline_operator.cluster.client import Kubernetes
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
FLINK_CRD = PROJECT / "tests" / "operator" / "flink_crd.yaml"
FLINK = next(kind for kind in OPTIONAL_KINDS if kind.kind == "FlinkDeployment")


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
            status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        else:
            continue
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
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="operator-benchmark-"))
    with operator(kubeconfig, folder, port) as process:
        await working(kubernetes)
        await one(kubernetes, broker)
        print(f"idle without pipelines: {process.memory_info().rss / 2**20:.0f} MB")
        began = time.monotonic()
        for number in range(wanted):
            await kubernetes.create(PIPELINE_KIND, f"bench-{number % NAMESPACES}", pipeline(number, broker))
        print(f"{wanted} created after {time.monotonic() - began:.1f} s")
        peak = 0.0
        while (done := await complete(kubernetes)) < wanted and time.monotonic() - began < 600:
            peak = max(peak, process.memory_info().rss / 2**20)
            await asyncio.sleep(1)
        print(f"{done} complete after {time.monotonic() - began:.1f} s")
        cpu = process.cpu_times()
        print(f"processor time {cpu.user + cpu.system:.1f} s, memory at most {peak:.0f} MB; requests so far:")
        for what, number in sorted(requests(port).items()):
            print(f"  {number} {what}")
        print(f"{len(await ours(kubernetes, *CHILD_KINDS, FLINK))} children")
        while await running(kubernetes) < wanted and time.monotonic() - began < 1200:
            await be_the_others(kubernetes)
            await asyncio.sleep(1)
        print(f"{await running(kubernetes)} run after {time.monotonic() - began:.0f} s")
        await quiet(port)
        before, cpu, asked = time.monotonic(), process.cpu_times(), requests(port)
        await asyncio.sleep(idle)
        after = process.cpu_times()
        share = (after.user + after.system - cpu.user - cpu.system) / (time.monotonic() - before)
        print(f"nothing changes for {idle:g} s: {share:.1%} of a core, {process.memory_info().rss / 2**20:.0f} MB")
        for what, number in (requests(port) - asked).items():
            print(f"  {number} {what}")
    kubernetes.close()
    print(f"log: {folder}/operator.log; load of the machine {os.getloadavg()[0]:.1f}")


async def one(kubernetes: Kubernetes, broker: str) -> None:
    """From the creation of one pipeline to its topics and to the last of its children; each child deleted by hand."""
    namespace, name = "bench-0", "alone"
    thing = pipeline(0, broker)
    thing["metadata"] |= {"name": name, "namespace": namespace}
    thing["spec"]["broker"]["topicPrefix"] = name
    admin, mine = AdminClient({"bootstrap.servers": broker}), f"marketpipeline.dev/pipeline={name}"

    wanted = {topic.name for topic in plan(load_object(thing)).topics}

    async def found() -> dict[str, Object]:
        listed = [thing for kind in (*CHILD_KINDS, FLINK) async for thing in kubernetes.list(kind, namespace, mine)]
        return {f"{thing['kind']} {thing['metadata']['name']}": thing for thing in listed}

    async def until(condition: Callable[[], Awaitable[bool]]) -> float:
        began = time.monotonic()
        while True:
            if await condition():
                return time.monotonic() - began
            await asyncio.sleep(0.02)

    async def topics() -> bool:
        return wanted <= set((await asyncio.to_thread(admin.list_topics, timeout=10)).topics)

    async def everything() -> bool:
        return {"CronJob alone-staleness", "FlinkDeployment alone-job"} <= set(await found())

    await kubernetes.create(PIPELINE_KIND, namespace, thing)
    topics_after = await until(topics)
    print(f"one pipeline: its topics after {topics_after:.2f} s, its children {await until(everything):.2f} s later")
    children, slowest = await found(), 0.0
    for key, child in children.items():

        async def back(key: str = key, before: Object = child) -> bool:
            now = (await found()).get(key, before)
            return bool(now["metadata"]["uid"] != before["metadata"]["uid"])

        await kubernetes.delete(kind_of(child), namespace, child["metadata"]["name"])
        slowest = max(slowest, await until(back))
    print(f"each of its {len(children)} children deleted by hand: back after {slowest:.2f} s at most")
    await kubernetes.delete(PIPELINE_KIND, namespace, name)
    await until(lambda: gone(kubernetes, namespace, name))


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
