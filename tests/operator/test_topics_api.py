"""Topics as resources of the broker's operator, in the namespace where that one looks for them."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.discovery import capabilities_of, discover
from marketpipeline_operator.cluster.kinds import TOPIC_KINDS, Kind
from marketpipeline_operator.names import Object

from tests.operator.builders.support import TOPICS
from tests.operator.support import Kubectl, OperatorUnderTest, Pipelines, eventually

CRD = yaml.safe_load((Path(__file__).parent / "strimzi_crd.yaml").read_text())
OLD, NEW = (
    next(k for k in TOPIC_KINDS if (k.kind, k.version) == ("KafkaTopic", version)) for version in ("v1beta2", "v1")
)


async def topics(kubernetes: Kubernetes, kind: Kind, namespace: str) -> list[Object]:
    return [thing async for thing in kubernetes.list(kind, namespace)]


async def be_strimzi(kubernetes: Kubernetes, namespace: str) -> None:
    """Every topic of the namespace is made."""
    for topic in await topics(kubernetes, OLD, namespace):
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        await kubernetes.merge(OLD, namespace, topic["metadata"]["name"], {"status": ready}, subresource="status")


async def test_topics_are_in_the_namespace_of_their_cluster_and_follow_their_pipeline(
    kubernetes: Kubernetes, pipelines: Pipelines, operator: OperatorUnderTest, kubectl: Kubectl, namespace: str
) -> None:
    kubectl.define(CRD)
    kafka = f"{namespace}-kafka"
    kubectl("create", "namespace", kafka)
    operator.namespaces.append(kafka)
    await operator.start()
    broker: dict[str, Any] = {"provider": "strimzi", "cluster": "main", "namespace": kafka, "replicationFactor": 3}
    await pipelines.create(broker=broker, deletionPolicy="Delete")

    async def made() -> bool:
        return len(await topics(kubernetes, OLD, kafka)) == TOPICS

    await eventually(made, "the topics' resources")
    assert not await topics(kubernetes, OLD, namespace)
    found = {topic["spec"]["topicName"]: topic for topic in await topics(kubernetes, OLD, kafka)}
    trades = found["crypto.trades"]
    assert trades["metadata"]["labels"]["strimzi.io/cluster"] == "main"
    assert trades["spec"]["config"]["min.insync.replicas"] == "2"
    await pipelines.until("TopicsReady", status="False")
    await be_strimzi(kubernetes, kafka)
    await pipelines.until("TopicsReady", status="True")
    await pipelines.edit(broker={"partitions": 6})

    async def grown() -> bool:
        now = {topic["spec"]["topicName"]: topic["spec"] for topic in await topics(kubernetes, OLD, kafka)}
        return bool(now["crypto.trades"]["partitions"] == 6)

    await eventually(grown, "more partitions")
    await pipelines.delete()

    async def gone() -> bool:
        return await pipelines.get() is None and not await topics(kubernetes, OLD, kafka)

    await eventually(gone, "the pipeline and its topics gone")
    kubectl.drop_namespace(kafka)


async def test_a_namespace_that_the_operator_does_not_serve_is_named(
    pipelines: Pipelines, operator: OperatorUnderTest, kubectl: Kubectl
) -> None:
    kubectl.define(CRD)
    await operator.start()
    await pipelines.create(broker={"provider": "strimzi", "cluster": "main", "namespace": "kafka-elsewhere"})
    said = await pipelines.until("TopicsReady", status="False", reason="TopicFailed")
    assert "add kafka-elsewhere to its `namespaces`" in said["message"]


async def test_the_newest_version_that_is_served_is_used(kubernetes: Kubernetes, kubectl: Kubectl) -> None:
    kubectl.define(CRD)
    assert OLD in await discover(kubernetes)
    both = deepcopy(CRD)
    both["spec"]["versions"][1]["served"] = True
    kubectl.define(both)

    async def newer() -> bool:
        found = await discover(kubernetes)
        return NEW in found and OLD not in found and capabilities_of(found).strimzi_version == "v1"

    try:
        await eventually(newer, "v1")
    finally:
        kubectl.define(CRD)
