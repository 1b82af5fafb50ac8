"""The stream job without Flink's operator: a JobManager that runs this one job, and its TaskManagers."""

from __future__ import annotations

from marketpipeline.plan import Component, StreamJob

from marketpipeline_operator.builders.context import Context, child, digest
from marketpipeline_operator.builders.network import FLINK_METRICS_PORT, FLINK_REST_PORT
from marketpipeline_operator.builders.placement import resources
from marketpipeline_operator.builders.stream_job import (
    CHECKPOINTS,
    DRIVER,
    flink_configuration,
    job_arguments,
    job_pod_template,
    process_megabytes,
)
from marketpipeline_operator.names import JOB, PIPELINE, PROCESS, START, Object, child_name

__all__ = [
    "JOB_MANAGER",
    "TASK_MANAGER",
    "job_hash",
    "job_manager",
    "job_manager_service",
    "keeps_state",
    "start_of",
    "task_manager",
]

JOB_MANAGER = "jobmanager"
TASK_MANAGER = "taskmanager"
_PORTS = {"rpc": 6123, "blob": 6124, "rest": FLINK_REST_PORT}


def job_manager_service(context: Context) -> Object:
    """Where the TaskManagers, and the operator for savepoints, reach the JobManager."""
    return child(context, "v1", "Service", JOB_MANAGER, component=Component.STREAM_JOB.value, process=JOB_MANAGER) | {
        "spec": {
            "type": "ClusterIP",
            "ipFamilyPolicy": "PreferDualStack",
            "selector": {PIPELINE: context.name, PROCESS: JOB_MANAGER},
            "publishNotReadyAddresses": True,
            "ports": [
                {"name": name, "port": number, "protocol": "TCP", "targetPort": number}
                for name, number in _PORTS.items()
            ],
        }
    }


def job_manager(context: Context, job: StreamJob) -> Object:
    """The JobManager. Which state the job goes on from it finds itself, whenever it starts."""
    arguments = ["standalone-job", *_options(context, job, "jobmanager.memory.process.size")]
    arguments += ["--job-classname", DRIVER, *job_arguments()]
    container = {
        "args": arguments,
        "ports": [*({"name": n, "containerPort": p, "protocol": "TCP"} for n, p in _PORTS.items()), _metrics_port()],
        "startupProbe": _probe("/overview", period=2, failures=90),
        "readinessProbe": _probe("/overview", period=5, failures=3),
        "livenessProbe": _probe("/overview", period=10, failures=6),
    }
    found = _deployment(context, job, JOB_MANAGER, 1, container)
    found["metadata"]["annotations"] = {JOB: job_hash(context, job)}
    if context.job.start:
        found["spec"]["template"]["metadata"]["annotations"][START] = context.job.start
    return found


def job_hash(context: Context, job: StreamJob) -> str:
    """Hash of everything that the job is started with; another hash means that it is restarted.

    The number of its start is not part of it.
    """
    pods = _template(context, job, JOB_MANAGER, {}), _options(context, job, "jobmanager.memory.process.size")
    return digest([pods, job.parallelism])


def start_of(job_manager: Object) -> str | None:
    """Which start of the job a JobManager's Deployment was given."""
    found: str | None = (job_manager["spec"]["template"]["metadata"].get("annotations") or {}).get(START)
    return found


def keeps_state(job_manager: Object) -> bool:
    """Whether what a JobManager's job leaves outlives its Pods: in a claim, or in a place outside of Pods."""
    volumes = job_manager["spec"]["template"]["spec"].get("volumes", [])
    return all("emptyDir" not in volume for volume in volumes if volume["name"] == CHECKPOINTS)


def task_manager(context: Context, job: StreamJob) -> Object:
    """The TaskManagers: one slot each, as many as the job has parallel tasks."""
    container = {
        "args": ["taskmanager", *_options(context, job, "taskmanager.memory.process.size")],
        "ports": [{"name": "rpc", "containerPort": 6122, "protocol": "TCP"}, _metrics_port()],
        "startupProbe": {"tcpSocket": {"port": "rpc"}, "periodSeconds": 2, "failureThreshold": 90},
        "livenessProbe": {"tcpSocket": {"port": "rpc"}, "periodSeconds": 10, "failureThreshold": 6},
    }
    return _deployment(context, job, TASK_MANAGER, job.parallelism, container)


def _options(context: Context, job: StreamJob, size: str) -> list[str]:
    settings = flink_configuration(context, job) | {
        "blob.server.port": str(_PORTS["blob"]),
        # A JobManager that ended with its job would be started again, and the job with it, before it is scaled down.
        "execution.shutdown-on-application-finish": "false",
        "io.tmp.dirs": "/tmp",
        "jobmanager.rpc.address": child_name(context.name, JOB_MANAGER),
        "parallelism.default": str(job.parallelism),
        "rest.address": child_name(context.name, JOB_MANAGER),
        "taskmanager.rpc.port": "6122",
        size: f"{process_megabytes(job.memory)}m",
    }
    return [f"-D{key}={value}" for key, value in sorted(settings.items())]


def _deployment(context: Context, job: StreamJob, process: str, replicas: int, container: Object) -> Object:
    component = Component.STREAM_JOB.value
    head = child(context, "apps/v1", "Deployment", process, component=component, workload=job.name, process=process)
    return head | {
        "spec": {
            "replicas": replicas if context.job.running else 0,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 300,
            "selector": {"matchLabels": {PIPELINE: context.name, PROCESS: process}},
            "strategy": {"type": "Recreate"},
            "template": _template(context, job, process, container),
        }
    }


def _template(context: Context, job: StreamJob, process: str, container: Object) -> Object:
    images = context.settings.images
    common = {
        "name": process,
        "image": images.of(Component.STREAM_JOB),
        "imagePullPolicy": images.pull_policy,
        "resources": resources(context, Component.STREAM_JOB, job.cpu, job.memory),
    }
    return job_pod_template(context, job, common | container, process=process)


def _metrics_port() -> Object:
    return {"name": "http", "containerPort": FLINK_METRICS_PORT, "protocol": "TCP"}


def _probe(path: str, *, period: int, failures: int) -> Object:
    port = {"path": path, "port": "rest"}
    return {"httpGet": port, "periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": 5}
