"""Deployments of the services, CronJobs of what is scheduled, and PodDisruptionBudgets."""

from __future__ import annotations

from marketpipeline.plan import Preparation, ScheduledJob, SecretFolder

from marketpipeline_operator.builders.context import Context, Process, child
from marketpipeline_operator.builders.placement import resources
from marketpipeline_operator.builders.pod import (
    CONFIG_FOLDER,
    SETTINGS_FILE,
    common_mounts,
    container_security,
    environment,
    pod_template,
    ports,
    probe,
    settings_hash,
)
from marketpipeline_operator.names import PIPELINE, PROCESS, WORKLOAD, Object

__all__ = ["cron_job", "deployment", "disruption_budget"]


def deployment(context: Context, process: Process) -> Object:
    """The Deployment of one process, which gives way only to a successor that is ready: of ingestion, to one that is in
    sync and so writes all that comes. What both write for a moment is recognised by its ids.
    """
    replicas = 0 if process.name in context.stopped else process.replicas
    template = pod_template(
        context,
        process=process.name,
        workload=process.workload,
        component=process.component,
        settings_hash=settings_hash(process.settings | _prepared(process)),
        container=_container(context, process),
        drain_seconds=process.drain_seconds,
    )
    if process.preparation is not None:
        template["spec"]["initContainers"] = [_preparation(context, process, process.preparation)]
    template["spec"]["volumes"] += [
        {"name": _volume(folder), "secret": {"secretName": folder.secret}} for folder in process.secret_folders
    ]
    head = child(
        context,
        "apps/v1",
        "Deployment",
        process.name,
        component=process.component.value,
        workload=process.workload,
        process=process.name,
    )
    return head | {
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 300 if process.preparation is None else _RECOVERY_SECONDS,
            "selector": {"matchLabels": _selector(context, process)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template,
        }
    }


def _prepared(process: Process) -> Object:
    """What of a preparation makes another Pod."""
    return {} if process.preparation is None else {process.preparation.name: process.preparation.settings}


def _preparation(context: Context, process: Process, preparation: Preparation) -> Object:
    """The container that has to end well before the process begins; its settings are a file beside those of that."""
    images, component = context.settings.images, preparation.component
    return {
        "name": preparation.name,
        "image": images.of(component),
        "imagePullPolicy": images.pull_policy,
        "command": ["marketpipeline", component.value, "--config", f"{CONFIG_FOLDER}/{preparation.name}.json"],
        "env": environment(preparation.secrets),
        "resources": resources(context, process.component, process.cpu, process.memory),
        "securityContext": container_security(),
        "volumeMounts": common_mounts(),
    }


def _volume(folder: SecretFolder) -> str:
    return folder.setting.replace("_", "-")


def _selector(context: Context, process: Process) -> dict[str, str]:
    return {PIPELINE: context.name, PROCESS: process.name}


def _container(context: Context, process: Process) -> Object:
    images = context.settings.images
    return {
        "name": process.component.value,
        "image": images.of(process.component),
        "imagePullPolicy": images.pull_policy,
        "command": ["marketpipeline", process.component.value, "--config", SETTINGS_FILE],
        "env": environment(process.secrets),
        "ports": ports(process.ports),
        "startupProbe": probe(process.startup),
        "readinessProbe": probe(process.readiness),
        "livenessProbe": probe(process.liveness),
        "resources": resources(context, process.component, process.cpu, process.memory),
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": _volume(folder), "mountPath": folder.path, "readOnly": True} for folder in process.secret_folders
        ],
    }


_RECOVERY_SECONDS = 6 * 3600
"""A database may take hours to fill; until then nothing is stuck."""
_DRAIN_SECONDS = 20
_START_WITHIN_SECONDS = 300


def cron_job(context: Context, job: ScheduledJob) -> Object:
    """The CronJob; times are UTC, a run that is late by more than 5 minutes is left out, two never overlap."""
    images = context.settings.images
    container = {
        "name": job.component.value,
        "image": images.of(job.component),
        "imagePullPolicy": images.pull_policy,
        "command": ["marketpipeline", job.component.value, "--config", SETTINGS_FILE],
        "env": environment(job.secrets),
        "resources": resources(context, job.component, "100m", "256Mi"),
        "securityContext": container_security(),
    }
    template = pod_template(
        context,
        process=job.name,
        workload=job.name,
        component=job.component,
        settings_hash=settings_hash(job.settings),
        container=container,
        drain_seconds=_DRAIN_SECONDS,
        restart_policy="Never",
    )
    name, component = job.name, job.component.value
    head = child(context, "batch/v1", "CronJob", name, component=component, workload=name, process=name)
    return head | {
        "spec": {
            "schedule": job.schedule,
            "timeZone": "Etc/UTC",
            "suspend": context.plan.suspended,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": _START_WITHIN_SECONDS,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "metadata": {"labels": head["metadata"]["labels"]},
                "spec": {"activeDeadlineSeconds": job.timeout_seconds, "backoffLimit": 1, "template": template},
            },
        }
    }


def disruption_budget(context: Context, workload: str) -> Object:
    """One for a workload of several replicas; of a single one it could only forbid the drain or mean nothing."""
    return child(context, "policy/v1", "PodDisruptionBudget", workload, workload=workload) | {
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": {PIPELINE: context.name, WORKLOAD: workload}},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        }
    }
