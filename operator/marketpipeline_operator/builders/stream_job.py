"""What both ways to run the stream job have in common: its settings, Flink's configuration, its Pods' volumes."""

from __future__ import annotations

from urllib.parse import urlsplit

from marketpipeline.plan import Component, StreamJob
from marketpipeline.schema import S3Access, cpu_millis, memory_bytes

from marketpipeline_operator.builders.context import Context
from marketpipeline_operator.builders.network import FLINK_METRICS_PORT
from marketpipeline_operator.builders.pod import (
    SETTINGS_FILE,
    container_security,
    environment,
    pod_template,
    settings_config_map,
    settings_hash,
)
from marketpipeline_operator.names import Object

__all__ = [
    "CHECKPOINTS",
    "DRIVER",
    "FLINK_USER",
    "checkpoints",
    "flink_configuration",
    "job_arguments",
    "job_config_map",
    "job_pod_template",
    "process_megabytes",
    "savepoints",
]

DRIVER = "org.apache.flink.client.python.PythonDriver"
CHECKPOINTS = "checkpoints"
"""Name of the volume that they are in, where they are files."""
FLINK_USER = 9999
"""User of Flink's image."""


def job_config_map(context: Context, job: StreamJob) -> Object:
    """The ConfigMap with the job's settings."""
    return settings_config_map(context, job.name, Component.STREAM_JOB, job.settings)


def checkpoints(job: StreamJob) -> str:
    """URI of the checkpoints' folder."""
    return job.checkpoint_directory.rstrip("/")


def savepoints(job: StreamJob) -> str:
    """URI of the savepoints' folder, beside the checkpoints'."""
    return f"{checkpoints(job)}/savepoints"


def flink_configuration(context: Context, job: StreamJob) -> dict[str, str]:
    """Flink's settings that follow from the spec. The job keeps its state in a folder of its own below these."""
    own = {
        "execution.checkpointing.dir": checkpoints(job),
        "execution.checkpointing.savepoint-dir": savepoints(job),
        "execution.checkpointing.interval": f"{job.checkpoint_interval_ms} ms",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "metrics.reporter.prom.factory.class": "org.apache.flink.metrics.prometheus.PrometheusReporterFactory",
        "metrics.reporter.prom.port": str(FLINK_METRICS_PORT),
        "state.backend.type": job.state_backend,  # what Flink's page shows; the job itself has its own way to RocksDB
        "taskmanager.numberOfTaskSlots": "1",
    }
    return own | _limit_factors(context, job) | _s3(context, job) | context.pipeline.spec.processing.flink_configuration


def _limit_factors(context: Context, job: StreamJob) -> dict[str, str]:
    """Limits of the containers that Flink's operator makes: how many times what they request."""
    limits = context.pipeline.spec.processing.resources.limits
    found: dict[str, str] = {}
    if limits is None or not context.uses_flink_operator:
        return found
    for process in ("jobmanager", "taskmanager"):
        if limits.cpu:
            found[f"kubernetes.{process}.cpu.limit-factor"] = f"{cpu_millis(limits.cpu) / cpu_millis(job.cpu):.3f}"
        if limits.memory:
            factor = memory_bytes(limits.memory) / memory_bytes(job.memory)
            found[f"kubernetes.{process}.memory.limit-factor"] = f"{factor:.3f}"
    return found


def _s3(context: Context, job: StreamJob) -> dict[str, str]:
    """How Flink reaches S3. The chain of providers knows the variables of a Secret, and a ServiceAccount's role."""
    if urlsplit(job.checkpoint_directory).scheme not in ("s3", "s3a"):
        return {}
    access = context.pipeline.spec.processing.s3 or S3Access()
    found = {
        "s3.endpoint": access.endpoint,
        "s3.endpoint.region": access.region,
        "s3.path.style.access": str(access.is_path_style).lower(),
        "s3.aws.credentials.provider": "com.amazonaws.auth.DefaultAWSCredentialsProviderChain",
    }
    return {key: value for key, value in found.items() if value is not None}


def job_arguments() -> list[str]:
    """Arguments of Flink's Python driver: the module to run, then the module's own."""
    return ["-pym", "marketpipeline_job", "--config", SETTINGS_FILE]


def process_megabytes(memory: str) -> int:
    """A Kubernetes quantity of memory in MiB, as Flink counts its process size."""
    return memory_bytes(memory) // 2**20


def job_pod_template(context: Context, job: StreamJob, container: Object, process: str) -> Object:
    """A Pod of the job. Its settings' hash leaves out the thresholds, which a running job takes from their topic."""
    mounts: list[Object] = []
    volumes: list[Object] = []
    if folder := _local_folder(job):
        source = {"persistentVolumeClaim": {"claimName": job.checkpoint_claim}}
        mounts.append({"name": CHECKPOINTS, "mountPath": folder})
        volumes.append({"name": CHECKPOINTS, **(source if job.checkpoint_claim else {"emptyDir": {}})})
    template = pod_template(
        context,
        process=process,
        workload=job.name,
        component=Component.STREAM_JOB,
        settings_hash=settings_hash(job.settings),
        container=container
        | {"env": environment(job.secrets), "securityContext": container_security(), "volumeMounts": mounts},
        drain_seconds=20,
        user=FLINK_USER,
    )
    spec = template["spec"]
    spec["serviceAccountName"] = context.pipeline.spec.processing.service_account or spec["serviceAccountName"]
    spec["volumes"] = [
        {"name": "settings", "configMap": {"name": f"{context.name}-{job.name}"}},
        {"name": "tmp", "emptyDir": {}},
        *volumes,
    ]
    return template


def _local_folder(job: StreamJob) -> str | None:
    """Where the checkpoints are files of the Pod: of a claim that it mounts, or gone with it."""
    place = urlsplit(job.checkpoint_directory)
    return place.path if place.scheme in ("file", "") else None
