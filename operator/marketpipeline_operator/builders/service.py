"""Services: the query API's, and a headless one over all Pods for what collects metrics."""

from __future__ import annotations

from marketpipeline.plan import Component

from marketpipeline_operator.builders.context import Context
from marketpipeline_operator.builders.metadata import child
from marketpipeline_operator.builders.process import Process
from marketpipeline_operator.names import PIPELINE, PROCESS, Object

__all__ = ["METRICS", "api_service", "metrics_service"]

METRICS = "metrics"


def api_service(context: Context, process: Process) -> Object:
    """The Service of a process that is called from elsewhere."""
    head = child(context, "v1", "Service", process.name, component=process.component.value, process=process.name)
    return head | {
        "spec": {
            "type": "ClusterIP",
            "selector": {PIPELINE: context.name, PROCESS: process.name},
            "ports": [
                {"name": port.name, "port": port.number, "protocol": "TCP", "targetPort": port.name}
                for port in process.ports
            ],
        }
    }


def metrics_service(context: Context) -> Object:
    """Headless, over every Pod that has a port named http, ready or not."""
    return child(context, "v1", "Service", METRICS, component=METRICS) | {
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {PIPELINE: context.name},
            "ports": [{"name": METRICS, "port": 9100, "protocol": "TCP", "targetPort": "http"}],
        }
    }


def api_address(context: Context) -> str | None:
    """URL of the query API inside of the cluster, or None where the pipeline has none."""
    for workload in context.plan.workloads:
        if workload.component is Component.API:
            return f"http://{context.name}-{workload.name}.{context.namespace}.svc:{workload.ports[0].number}"
    return None
