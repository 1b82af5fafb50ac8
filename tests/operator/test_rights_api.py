"""The operator with exactly the rights that its manifests give, and no verb of them that it does not use."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.errors import Forbidden
from marketpipeline_operator.cluster.kinds import CHILD_KINDS, LEASE, SECRET, SERVICE_ACCOUNT
from marketpipeline_operator.cluster.lease import Lease
from marketpipeline_operator.install import NAMESPACE, documents, lease_rules, namespaced, rules
from marketpipeline_operator.settings import LeaseSettings

from tests.operator.support import FLINK, Kubectl, OperatorUnderTest, Pipelines, eventually
from tests.support.broker import RunningBroker

ACCOUNT = "marketpipeline-operator"
NOT_REQUESTED = {("marketpipelines/finalizers", "update")}
"""Asked by an admission plugin that this API server does not run."""


@pytest.fixture
def limited(kubectl: Kubectl, kubeconfig: Path, namespace: str, tmp_path: Path) -> Path:
    """A kubeconfig of the operator's ServiceAccount, with the rights in the test's namespace and the Lease's."""
    rbac = documents()["rbac.yaml"]
    mine = [thing for thing in rbac if not thing["kind"].startswith("Cluster")]
    kubectl.apply(*mine, *namespaced(namespace))
    token = kubectl("create", "token", ACCOUNT, f"--namespace={NAMESPACE}", "--duration=1h").strip()
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


async def test_it_does_all_its_work_with_its_rights_and_uses_each_verb(
    pipelines: Pipelines,
    operator: OperatorUnderTest,
    broker: RunningBroker,
    kubectl: Kubectl,
    limited: Path,
    flink_crd: None,
) -> None:
    await operator.start(limited)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": pipelines.namespace}}
    kubectl.apply(secret | {"stringData": {"password": "x"}})
    spec: dict[str, Any] = {
        "broker": {"topicPrefix": broker.prefix()},
        "sinks": {"timescale": {"passwordSecret": {"name": "db"}}},
        "ingestion": {"replicas": 2},
        "symbols": [f"binance:{base}USDT" for base in ("BTC", "ETH", "SOL", "XRP")],
        "processing": {"mode": "operator"},
        "api": {"replicas": 2},
    }
    await pipelines.create(address=broker.address, **spec)
    await pipelines.until("TopicsReady", status="True")

    async def made() -> bool:
        return "CronJob/crypto-staleness" in await pipelines.children()

    await eventually(made, "all children")
    await pipelines.edit(
        feeds=["quotes"],
        ingestion={"replicas": 1},
        sinks={"timescale": {"enabled": False}, "redis": {"enabled": False}},
        api={"enabled": False},
    )

    async def fewer() -> bool:
        found = await pipelines.children(kinds=(*CHILD_KINDS, FLINK))
        return {key for key in found if key.startswith(("Deployment", "CronJob", "FlinkDeployment"))} == {
            "Deployment/crypto-ingestion-binance-0"
        }

    await eventually(fewer, "what is no more is removed")
    await pipelines.delete()

    async def gone() -> bool:
        return await pipelines.get() is None

    await eventually(gone, "the pipeline gone")
    assert operator.kubernetes is not None
    refused = {request: n for request, n in operator.kubernetes.requests.items() if request[2] in (401, 403)}
    assert not refused
    verbs = {"PATCH": "patch", "POST": "create", "DELETE": "delete", "PUT": "update"}
    made_of = {(plural, verbs[verb]) for verb, plural, _ in operator.kubernetes.requests if verb in verbs}
    granted = {
        (resource, verb)
        for rule in rules()
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if verb not in ("get", "list", "watch")
    }
    made_of |= {(plural, "create") for verb, plural, status in operator.kubernetes.requests if status == 201}
    of_children = {kind.plural for kind in (*CHILD_KINDS, FLINK)}
    assert {entry for entry in granted if entry[0] in of_children} == {e for e in made_of if e[0] in of_children}
    assert {("marketpipelines", "patch"), ("events", "create")} <= made_of
    own = {entry for entry in granted if entry[0] == "events" or entry[0].startswith("marketpipelines")}
    assert own - NOT_REQUESTED == {
        ("events", "create"),
        ("marketpipelines", "patch"),
        ("marketpipelines/status", "patch"),
    }


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        *[
            (verb, kind.plural)
            for kind in CHILD_KINDS
            for verb in ("create", "patch", "delete", "get", "list", "watch")
            if (kind, verb) != (SERVICE_ACCOUNT, "delete")
        ],
        ("list", "marketpipelines"),
        ("patch", "marketpipelines/status"),
        ("create", "events"),
        ("get", "secrets"),
        ("list", "pods"),
    ],
)
def test_a_right_is_granted(kubectl: Kubectl, limited: Path, namespace: str, verb: str, resource: str) -> None:
    as_operator = Kubectl(kubectl.program, limited)
    assert as_operator("auth", "can-i", verb, resource, f"--namespace={namespace}").strip() == "yes"


async def test_what_is_not_granted_is_refused(kubectl: Kubectl, limited: Path, namespace: str) -> None:
    as_operator = Kubectl(kubectl.program, limited)
    for verb, resource in [
        ("list", "secrets"),
        ("create", "secrets"),
        ("delete", "pods"),
        ("delete", "serviceaccounts"),
        ("create", "pods"),
        ("delete", "marketpipelines"),
        ("create", "roles"),
        ("get", "nodes"),
    ]:
        refused = as_operator("auth", "can-i", verb, resource, f"--namespace={namespace}", status=1)
        assert "no" in refused.splitlines(), (verb, resource)
    client = Kubernetes.connect(kubeconfig=str(limited))
    with pytest.raises(Forbidden, match="secrets"):
        await client.get(SECRET, "kube-system", "any")
    client.close()
    assert lease_rules() == [
        {"apiGroups": [LEASE.group], "resources": ["leases"], "verbs": ["create", "get", "update"]}
    ]


async def test_of_two_operators_one_works_and_the_other_takes_over(kubernetes: Kubernetes, namespace: str) -> None:
    settings = LeaseSettings(name="mine", namespace=namespace, duration=1.5, renew=0.3)
    first, second = Lease(kubernetes, settings, "first"), Lease(kubernetes, settings, "second")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(3)
    assert not waiting.done(), "the holder renews, so the other waits"
    holding.cancel()
    await asyncio.wait_for(waiting, 5)
    assert not await first._attempt(), "the one that was away finds it taken"
    lost = asyncio.create_task(first.hold())
    await asyncio.wait_for(lost, 3)
    await second.release()
    await asyncio.wait_for(first.acquire(), 1)
