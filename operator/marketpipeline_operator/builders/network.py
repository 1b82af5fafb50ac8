"""Services and NetworkPolicies: Pods are reached at the ports that they serve and at no others."""

from __future__ import annotations

from marketpipeline.plan import Component

from marketpipeline_operator.builders.context import Context, Process, child
from marketpipeline_operator.names import COMPONENT, FIELD_MANAGER, FLINK_OPERATOR, PIPELINE, PODS, PROCESS, Object

__all__ = ["METRICS", "job_network_policy", "metrics_service", "network_policy", "service"]

METRICS = "metrics"
_NAMESPACE = "kubernetes.io/metadata.name"


def service(context: Context, process: Process) -> Object:
    """The Service of a process that is called from elsewhere, at the first of its ports."""
    head = child(context, "v1", "Service", process.name, component=process.component.value, process=process.name)
    return head | {
        "spec": {
            "type": "ClusterIP",
            "ipFamilyPolicy": "PreferDualStack",
            "selector": {PIPELINE: context.name, PROCESS: process.name},
            "ports": [
                {"name": port.name, "port": port.number, "protocol": "TCP", "targetPort": port.name}
                for port in process.ports[:1]
            ],
        }
    }


def metrics_service(context: Context) -> Object:
    """Headless, over every Pod that has a port named http, ready or not."""
    return child(context, "v1", "Service", METRICS, component=METRICS) | {
        "spec": {
            "type": "ClusterIP",
            "ipFamilyPolicy": "PreferDualStack",
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {PIPELINE: context.name},
            "ports": [{"name": METRICS, "port": 9100, "protocol": "TCP", "targetPort": "http"}],
        }
    }


FLINK_METRICS_PORT = 9249
FLINK_REST_PORT = 8081
_EVERYWHERE: list[Object] = [{}]
"""Exchanges and stores have names, which no policy can hold, and a broker tells its clients ports that are in no spec:
this opens what a namespace forbids by default. Whoever wants less adds a policy of the network plugin's own kind."""


def network_policy(context: Context) -> Object:
    """For the services: the ports of the plan from anywhere, and the way out."""
    numbers = sorted({port.number for workload in context.plan.workloads for port in workload.ports})
    outside_job = {"key": COMPONENT, "operator": "NotIn", "values": [Component.STREAM_JOB.value]}
    return child(context, "networking.k8s.io/v1", "NetworkPolicy", PODS) | {
        "spec": {
            "podSelector": {"matchLabels": {PIPELINE: context.name}, "matchExpressions": [outside_job]},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [_port(number) for number in numbers]}] if numbers else [],
            "egress": _EVERYWHERE,
        }
    }


def job_network_policy(context: Context) -> Object:
    """For the stream job: all ports among its Pods, metrics from anywhere, REST from the operator that controls it."""
    job = {PIPELINE: context.name, COMPONENT: Component.STREAM_JOB.value}
    component = Component.STREAM_JOB.value
    return child(context, "networking.k8s.io/v1", "NetworkPolicy", component, component=component) | {
        "spec": {
            "podSelector": {"matchLabels": job},
            "policyTypes": ["Ingress", "Egress"],
            "egress": _EVERYWHERE,
            "ingress": [
                {"from": [{"podSelector": {"matchLabels": job}}]},
                {"ports": [_port(FLINK_METRICS_PORT)]},
                {"from": [_controller(context)], "ports": [_port(FLINK_REST_PORT)]},
            ],
        }
    }


def _controller(context: Context) -> Object:
    """Flink's operator in its namespace, or this one in its own: a label alone any Pod can have."""
    name, places = FIELD_MANAGER, [context.settings.lease.namespace]
    if context.uses_flink_operator:
        given = context.settings.flink.operator_namespace
        name = FLINK_OPERATOR
        places = [given] if given else [*context.capabilities.flink_namespaces] or places
    space = {"matchExpressions": [{"key": _NAMESPACE, "operator": "In", "values": places}]}
    return {"namespaceSelector": space, "podSelector": {"matchLabels": {"app.kubernetes.io/name": name}}}


def _port(number: int) -> Object:
    return {"port": number, "protocol": "TCP"}
