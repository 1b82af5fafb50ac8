"""Namespaces with a platform team's rules: restricted Pods, quotas, ranges of limits, nothing in and nothing out."""

from __future__ import annotations

from typing import Any

from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.discovery import flink_namespaces, is_openshift
from marketpipeline_operator.names import FLINK_OPERATOR, Object

from tests.operator.support import Kubectl, OperatorUnderTest, Pipelines, eventually
from tests.operator.test_drift_api import settled
from tests.support.broker import RunningBroker

QUOTA = {"pods": "12", "requests.cpu": "6", "limits.cpu": "16", "requests.memory": "8Gi", "limits.memory": "12Gi"}
RANGE = {"type": "Container", "default": {"cpu": "2"}, "max": {"cpu": "3", "memory": "3Gi"}}
CONSTRAINTS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "securitycontextconstraints.security.openshift.io"},
    "spec": {
        "group": "security.openshift.io",
        "names": {"kind": "SecurityContextConstraints", "plural": "securitycontextconstraints"},
        "scope": "Cluster",
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}


def of_namespace(namespace: str, api_version: str, kind: str, spec: Object) -> Object:
    metadata = {"name": "rules", "namespace": namespace}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


async def test_the_namespace_that_flinks_operator_is_in_is_found(
    kubernetes: Kubernetes, kubectl: Kubectl, namespace: str
) -> None:
    assert await flink_namespaces(kubernetes) == ()
    other = f"{namespace}-other"
    kubectl("create", "namespace", other)
    kubectl("create", "deployment", "flink", "--image=flink", "--namespace", namespace)
    kubectl("label", "deployment", "flink", f"app.kubernetes.io/name={FLINK_OPERATOR}", "--namespace", namespace)
    assert await flink_namespaces(kubernetes) == (namespace,)
    kubectl("run", "flink", "--image=flink", f"--labels=app.kubernetes.io/name={FLINK_OPERATOR}", "--namespace", other)
    assert await flink_namespaces(kubernetes) == tuple(sorted((namespace, other)))


async def test_every_pod_is_let_in(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, kubectl: Kubectl, namespace: str
) -> None:
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    kubectl.apply(
        of_namespace(namespace, "v1", "ResourceQuota", {"hard": QUOTA}),
        of_namespace(namespace, "v1", "LimitRange", {"limits": [RANGE]}),
        of_namespace(
            namespace,
            "networking.k8s.io/v1",
            "NetworkPolicy",
            {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        ),
    )
    await operator.start()
    spec: dict[str, Any] = {
        "broker": {"topicPrefix": broker.prefix()},
        "pods": {
            "tolerations": [{"key": "a", "operator": "Exists", "effect": e} for e in ("NoSchedule", "NoExecute")],
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        },
        "api": {"resources": {"limits": {"cpu": "1"}}},
    }
    await pipelines.create(address=broker.address, **spec)

    async def made() -> bool:
        deployments, pods = await pipelines.deployments(), await pipelines.pods()
        return len(deployments) == 6 and len(pods) == 6

    await eventually(made, "a Pod of each Deployment")
    limits = {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod["spec"]["containers"][0]["resources"]["limits"]
        for pod in await pipelines.pods()
    }
    assert (limits["api"]["cpu"], limits["sink-redis"]["cpu"]) == ("1", "2"), "ours, and the namespace's"
    before = await settled(operator)
    for number in range(3):
        await pipelines.annotate(look=str(number))
    assert await settled(operator) == before, "nothing is written again for what the API server added"


async def test_openshift_is_known_by_its_kind(kubernetes: Kubernetes, kubectl: Kubectl) -> None:
    assert not await is_openshift(kubernetes)
    kubectl.define(CONSTRAINTS)
    try:

        async def known() -> bool:
            return await is_openshift(kubernetes)

        await eventually(known, "OpenShift's kind")
    finally:
        kubectl("delete", "crd", "securitycontextconstraints.security.openshift.io")
