"""Objects that are not the operator's: whatever their kind and name, it neither takes them over nor removes them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from marketpipeline.spec import load_object
from marketpipeline_operator.builders import build
from marketpipeline_operator.cluster.kinds import CHILD_KINDS, SERVICE_ACCOUNT, kind_of
from marketpipeline_operator.names import Object, owner_reference

from tests.operator.builders.support import context_of
from tests.operator.support import Kubectl, OperatorUnderTest, Pipelines, eventually
from tests.support.broker import RunningBroker

CONFIG_MAP = next(kind for kind in CHILD_KINDS if kind.kind == "ConfigMap")


def foreign(namespace: str, *, labelled: bool) -> list[Object]:
    """For each child of a pipeline an object of its kind and name, made by somebody else; also one with our labels."""
    found = []
    for thing in build(context_of(api={"replicas": 2}, processing={"mode": "standalone"})):
        metadata = {"name": thing["metadata"]["name"], "namespace": namespace}
        if labelled:
            metadata |= {key: thing["metadata"][key] for key in ("labels", "annotations")}
        found.append(thing | {"metadata": metadata})
    return found


async def as_it_is(pipelines: Pipelines, things: list[Object]) -> dict[str, Any]:
    """What a user would notice of each: its labels, annotations, owners, and all that is no status."""
    found = {}
    for thing in things:
        live = await pipelines.kubernetes.get(kind_of(thing), pipelines.namespace, thing["metadata"]["name"])
        assert live is not None, thing["metadata"]["name"]
        metadata = {key: live["metadata"].get(key) for key in ("uid", "labels", "ownerReferences", "generation")}
        rest = {key: value for key, value in live.items() if key not in ("metadata", "status")}
        found[f"{thing['kind']}/{thing['metadata']['name']}"] = [metadata, rest]
    return found


@pytest.mark.parametrize("labelled", [False, True], ids=["plain", "with-our-labels"])
async def test_no_object_of_somebody_else_is_touched(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, kubectl: Kubectl, labelled: bool
) -> None:
    theirs = foreign(pipelines.namespace, labelled=labelled)
    assert {thing["kind"] for thing in theirs} == {kind.kind for kind in CHILD_KINDS}
    kubectl("create", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": theirs}))
    before = await as_it_is(pipelines, theirs)
    running = await operator.start()
    await pipelines.create(
        address=broker.address, broker={"topicPrefix": broker.prefix()}, api={"replicas": 2}, deletionPolicy="Delete"
    )
    said = await pipelines.until("Degraded", status="True", reason="ApplyFailed", message="is not this pipeline's")
    assert f"ServiceAccount {theirs[0]['metadata']['name']} exists" in said["message"]

    async def tried_again() -> bool:
        return sum(running.queue.results.values()) >= 4

    await eventually(tried_again, "four passes")
    pipeline = await pipelines.get()
    assert pipeline is not None
    owner = owner_reference("crypto", pipeline["metadata"]["uid"])
    marker = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "marker", "ownerReferences": [owner]}}
    await pipelines.kubernetes.create(CONFIG_MAP, pipelines.namespace, marker, manager="test")
    assert await as_it_is(pipelines, theirs) == before
    await pipelines.delete()

    async def gone() -> bool:
        return await pipelines.get() is None

    await eventually(gone, "the pipeline gone")

    async def collected() -> bool:
        return await pipelines.kubernetes.get(CONFIG_MAP, pipelines.namespace, "marker") is None

    await eventually(collected, "what the pipeline owned collected")
    assert await as_it_is(pipelines, theirs) == before


async def test_an_object_that_appears_while_it_is_made_is_let_go(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the write somebody else makes it: what was written of ours is taken back."""
    running = await operator.start()
    kubernetes = running.reconciler._kubernetes
    real, name = kubernetes.get, "crypto-api"

    async def late(kind: Any, namespace: str, wanted: str) -> Object | None:
        found = await real(kind, namespace, wanted)
        if kind == CONFIG_MAP and wanted == name and found is None:
            thing = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"mine": "yes"}}
            await pipelines.kubernetes.create(CONFIG_MAP, namespace, thing, manager="somebody")
        return found

    monkeypatch.setattr(kubernetes, "get", late)
    await pipelines.create(address=broker.address, broker={"topicPrefix": broker.prefix()})
    await pipelines.until("Degraded", status="True", message=f"ConfigMap {name} exists and is not this pipeline's")
    live = await real(CONFIG_MAP, pipelines.namespace, name)
    assert live is not None
    assert live["data"] == {"mine": "yes"}
    assert not {"labels", "annotations", "ownerReferences"} & set(live["metadata"])


async def test_a_pipeline_named_default_leaves_the_namespaces_account_alone(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    async def account() -> Object | None:
        return await pipelines.kubernetes.get(SERVICE_ACCOUNT, pipelines.namespace, "default")

    before = await eventually(account, "the namespace's own account")
    await operator.start()
    await pipelines.create("default", address=broker.address, broker={"topicPrefix": broker.prefix()})

    async def made() -> bool:
        return "api" in await pipelines.deployments("default")

    await eventually(made, "its Deployments")
    assert await account() == before


async def test_what_was_taken_from_a_child_of_ours_is_put_back(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    """Without its owner and labels it is still known as ours, by who made it."""
    await operator.start()
    await pipelines.create(address=broker.address, broker={"topicPrefix": broker.prefix()})

    async def made() -> bool:
        return "ConfigMap/crypto-api" in await pipelines.children()

    await eventually(made, "the ConfigMap")
    bare: Object = {"metadata": {"labels": None, "ownerReferences": None}}
    await pipelines.kubernetes.merge(CONFIG_MAP, pipelines.namespace, "crypto-api", bare)

    async def back() -> bool:
        live = await pipelines.kubernetes.get(CONFIG_MAP, pipelines.namespace, "crypto-api")
        return bool(live and live["metadata"].get("labels") and live["metadata"].get("ownerReferences"))

    await eventually(back, "labels and owner")


def test_names_of_two_pipelines_children_cannot_meet() -> None:
    """`a` + `b-c` is `a-b` + `c`: so of one kind no part of a name ends with another part."""
    parts: dict[str, set[str]] = {}
    for mode in ("standalone", "operator"):
        context = context_of("x", processing={"mode": mode}, api={"replicas": 2}, ingestion={"replicas": 2})
        for thing in build(context):
            assert thing["metadata"]["name"].startswith("x-"), "none has the pipeline's own name"
            parts.setdefault(thing["kind"], set()).add(thing["metadata"]["name"].removeprefix("x-"))
    for kind, found in parts.items():
        assert not [(one, other) for one in found for other in found if one.endswith(f"-{other}")], kind


def test_the_longest_name_is_within_the_limits() -> None:
    name = "p" * 40
    load_object(
        {
            "apiVersion": "marketpipeline.dev/v1alpha1",
            "kind": "MarketPipeline",
            "metadata": {"name": name},
            "spec": {"symbols": ["binance:BTCUSDT"]},
        }
    )
    for thing in build(context_of(name)):
        limit = {"CronJob": 52, "FlinkDeployment": 45}.get(thing["kind"], 63)
        assert len(thing["metadata"]["name"]) <= limit, thing["metadata"]["name"]
