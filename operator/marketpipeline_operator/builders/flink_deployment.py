"""The stream job as a FlinkDeployment of Flink's Kubernetes operator, v1beta1."""

from __future__ import annotations

from marketpipeline.plan import Component, StreamJob
from marketpipeline.schema import cpu_millis, seconds

from marketpipeline_operator.builders.context import Context, child
from marketpipeline_operator.builders.network import FLINK_METRICS_PORT
from marketpipeline_operator.builders.stream_job import (
    DRIVER,
    checkpoints,
    flink_configuration,
    job_arguments,
    job_pod_template,
    process_megabytes,
)
from marketpipeline_operator.names import Object

__all__ = ["FLINK_DEPLOYMENT", "flink_deployment"]

FLINK_DEPLOYMENT = "job"
"""Its part of the name: short, since Flink allows 45 characters in all."""


def flink_deployment(context: Context, job: StreamJob) -> Object:
    """The FlinkDeployment.

    Its upgrades are `stateless`: Flink's operator hands no state on, whether it fits or not. A job that it cancels
    keeps its newest checkpoint, and the job decides when it starts whether that fits. The JobManager is highly
    available only where its files outlive its Pod.
    """
    images, flink = context.settings.images, context.settings.flink
    resource = {"cpu": _cores(job.cpu), "memory": f"{process_megabytes(job.memory)}m"}
    # The name is the one that Flink looks for in the template.
    metrics = {"name": "http", "containerPort": FLINK_METRICS_PORT, "protocol": "TCP"}
    container = {"name": "flink-main-container", "ports": [metrics]}
    template = job_pod_template(context, job, container, process=job.name)
    del template["spec"]["serviceAccountName"], template["spec"]["automountServiceAccountToken"]
    component = Component.STREAM_JOB.value
    return child(
        context,
        "flink.apache.org/v1beta1",
        "FlinkDeployment",
        FLINK_DEPLOYMENT,
        component=component,
        workload=job.name,
        process=job.name,
    ) | {
        "spec": {
            "image": images.of(Component.STREAM_JOB),
            "imagePullPolicy": images.pull_policy,
            "flinkVersion": flink.version,
            "mode": "native",
            "serviceAccount": context.pipeline.spec.processing.service_account or flink.service_account,
            "flinkConfiguration": _high_availability(job) | _autoscaler(context) | flink_configuration(context, job),
            "podTemplate": template,
            "jobManager": {"replicas": 1, "resource": resource},
            "taskManager": {"resource": resource},
            "job": {
                "jarURI": flink.python_jar,
                "entryClass": DRIVER,
                "args": job_arguments(),
                "parallelism": job.parallelism,
                "state": "running" if context.job.running else "suspended",
                "upgradeMode": "stateless",
            },
        }
    }


def _autoscaler(context: Context) -> dict[str, str]:
    """Flink's operator scales the job itself, within the bounds that are given."""
    scaling = context.pipeline.spec.processing.scaling
    if scaling is None:
        return {}
    return {
        "job.autoscaler.enabled": "true",
        "job.autoscaler.utilization.target": f"{scaling.target:g}",
        "job.autoscaler.scale-down.interval": f"{seconds(scaling.cool_down):g} s",
        "job.autoscaler.vertex.min-parallelism": str(scaling.min),
        "job.autoscaler.vertex.max-parallelism": str(min(scaling.max, context.pipeline.spec.broker.partitions)),
    }


def _high_availability(job: StreamJob) -> dict[str, str]:
    if not job.settings["keeps_state"]:
        return {}
    directory = f"{checkpoints(job)}/high-availability"
    return {"high-availability.type": "kubernetes", "high-availability.storageDir": directory}


def _cores(cpu: str) -> float | int:
    cores, rest = divmod(cpu_millis(cpu), 1_000)
    return cores + rest / 1_000 if rest else cores
