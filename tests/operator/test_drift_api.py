"""Drift: what is done to a child by hand is undone as soon as it is seen, and a restart of the operator writes nothing.

How long it takes is measured by `benchmarks.operator`; here a pass that comes by itself would come too late.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from marketpipeline_operator.cluster.kinds import CHILD_KINDS, kind_of

from tests.operator.support import FLINK, Kubectl, OperatorUnderTest, Pipelines, eventually, thresholds_in, topics_of
from tests.support.broker import RunningBroker

WATCHES = {"interval": 3600}
"""What is undone is so because it was seen, not because time has passed."""
ALL = (*CHILD_KINDS, FLINK)
EDITS: dict[str, dict[str, Any]] = {
    "ServiceAccount": {"automountServiceAccountToken": True},
    "ConfigMap": {"data": {"settings.json": "{}"}},
    "Service": {"spec": {"selector": {"marketpipeline.dev/pipeline": "other"}}},
    "Deployment": {"spec": {"replicas": 7}},
    "CronJob": {"spec": {"schedule": "1 1 1 1 1"}},
    "PodDisruptionBudget": {"spec": {"maxUnavailable": 9}},
    "NetworkPolicy": {"spec": {"ingress": []}},
    "FlinkDeployment": {"spec": {"job": {"parallelism": 9}}},
}

pytestmark = pytest.mark.usefixtures("flink_crd")


async def made(pipelines: Pipelines, broker: RunningBroker, mode: str) -> None:
    prefix = broker.prefix()
    spec: dict[str, Any] = {"broker": {"topicPrefix": prefix}, "processing": {"mode": mode}, "api": {"replicas": 2}}
    await pipelines.create(address=broker.address, **spec)

    async def complete() -> bool:
        found = await pipelines.children(kinds=ALL)
        topics = ((await pipelines.get() or {}).get("status") or {}).get("topics", {})
        return "CronJob/crypto-staleness" in found and "thresholds" in topics

    await eventually(complete, "all children and thresholds")


async def settled(operator: OperatorUnderTest) -> int:
    """Requests that wrote something, once there have been no more for a second."""
    before = -1
    while operator.writes != before:
        before = operator.writes
        await asyncio.sleep(1)
    return before


async def test_every_child_deleted_one_by_one_is_back(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    await operator.start(reconcile=WATCHES)
    await made(pipelines, broker, "operator")
    children = await pipelines.children(kinds=ALL)
    assert {key.partition("/")[0] for key in children} == set(EDITS)
    for key, thing in children.items():
        await pipelines.kubernetes.delete(kind_of(thing), pipelines.namespace, thing["metadata"]["name"])

        async def back(key: str = key, uid: str = thing["metadata"]["uid"]) -> bool:
            found = (await pipelines.children(kinds=ALL)).get(key)
            return found is not None and found["metadata"]["uid"] != uid

        await eventually(back, f"{key} back")
    assert set(await pipelines.children(kinds=ALL)) == set(children)


async def test_an_edit_of_each_kind_is_undone(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    await operator.start(reconcile=WATCHES)
    await made(pipelines, broker, "operator")
    await settled(operator)
    children = await pipelines.children(kinds=ALL)
    for kind, edit in EDITS.items():
        key, thing = next((key, thing) for key, thing in children.items() if key.startswith(f"{kind}/"))
        name = thing["metadata"]["name"]
        await pipelines.kubernetes.merge(kind_of(thing), pipelines.namespace, name, edit)

        async def undone(key: str = key, thing: dict[str, Any] = thing) -> bool:
            found = (await pipelines.children(kinds=ALL))[key]
            names = ("spec", "data", "automountServiceAccountToken")
            return all(found.get(name) == thing.get(name) for name in names)

        await eventually(undone, f"{key} as before")


async def test_a_topic_deleted_by_hand_is_back_with_its_thresholds(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    await operator.start(reconcile={"interval": 1})
    await made(pipelines, broker, "operator")
    found = await pipelines.get()
    assert found is not None
    prefix = found["spec"]["broker"]["topicPrefix"]
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.delete_topics([f"{prefix}.thresholds"])[f"{prefix}.thresholds"].result(10)

    async def back() -> bool:
        return f"{prefix}.thresholds" in topics_of(broker, prefix) and len(thresholds_in(broker, prefix)) == 2

    await eventually(back, "the thresholds topic and its records")


def written(thing: dict[str, Any]) -> dict[str, Any]:
    """All of a child but its status, which Kubernetes' controllers write: a CronJob's whenever its minute has come."""
    metadata = {key: value for key, value in thing["metadata"].items() if key != "resourceVersion"}
    metadata["managedFields"] = [entry for entry in metadata["managedFields"] if entry.get("subresource") != "status"]
    return {key: value for key, value in thing.items() if key != "status"} | {"metadata": metadata}


@pytest.mark.parametrize("mode", ["operator", "standalone"])
async def test_a_restart_or_an_upgrade_of_the_operator_writes_nothing(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, mode: str
) -> None:
    await operator.start(images={"tag": "1"})
    await made(pipelines, broker, mode)
    await settled(operator)
    before = {key: written(thing) for key, thing in (await pipelines.children(kinds=ALL)).items()}
    own = (await pipelines.get() or {})["metadata"]["resourceVersion"]
    await operator.stop()
    upgraded = await operator.start(images={"tag": "1"}, reconcile={"interval": 2})

    async def looked() -> bool:
        return upgraded.queue.results["ok"] >= 3

    await eventually(looked, "three passes")
    assert operator.writes == 0
    after = {key: written(thing) for key, thing in (await pipelines.children(kinds=ALL)).items()}
    assert after == before
    assert (await pipelines.get() or {})["metadata"]["resourceVersion"] == own


async def test_what_others_add_to_a_child_is_theirs(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    await operator.start()
    await made(pipelines, broker, "standalone")
    await settled(operator)
    writes = operator.writes
    kind = next(kind for kind in CHILD_KINDS if kind.kind == "Deployment")
    extra = {"metadata": {"annotations": {"example.org/note": "mine"}}}
    await pipelines.kubernetes.merge(kind, pipelines.namespace, "crypto-api", extra)
    await asyncio.sleep(1)
    found = await pipelines.kubernetes.get(kind, pipelines.namespace, "crypto-api")
    assert found is not None
    assert found["metadata"]["annotations"]["example.org/note"] == "mine"
    assert operator.writes == writes


async def test_an_autoscalers_replicas_are_left_alone_while_it_is_there(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, kubectl: Kubectl
) -> None:
    """Somebody's, or KEDA's, which makes one too. What it would do is done here by `kubectl scale`."""
    await operator.start()
    await made(pipelines, broker, "standalone")
    await settled(operator)
    space = f"--namespace={pipelines.namespace}"

    async def replicas() -> int:
        return int((await pipelines.deployments())["api"]["spec"]["replicas"])

    async def are(wanted: int) -> bool:
        return await replicas() == wanted

    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "crypto-api"}
    metadata = {"name": "crypto-api", "namespace": pipelines.namespace}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9}
    kubectl.apply(
        {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}
    )
    await settled(operator)
    kubectl("scale", "deployment", "crypto-api", "--replicas=5", space)
    await settled(operator)
    assert await replicas() == 5
    await pipelines.edit(api={"port": 8123})

    async def edited() -> bool:
        container = (await pipelines.deployments())["api"]["spec"]["template"]["spec"]["containers"][0]
        return bool(container["ports"][0]["containerPort"] == 8123)

    await eventually(edited, "another change of the same Deployment")
    assert await replicas() == 5
    await pipelines.edit(suspend=True)
    await eventually(lambda: are(0), "suspended")
    await pipelines.edit(suspend=False)
    await eventually(lambda: are(2), "resumed, with what the spec says to begin with")
    kubectl("scale", "deployment", "crypto-api", "--replicas=4", space)
    await settled(operator)
    assert await replicas() == 4
    kubectl("delete", "horizontalpodautoscaler", "crypto-api", space)
    await eventually(lambda: are(2), "what the spec says, when nobody else scales it")
