"""Deployments of the services."""

from __future__ import annotations

from marketpipeline.plan import Component

from marketpipeline_operator.builders.config_map import settings_hash
from marketpipeline_operator.builders.context import Context
from marketpipeline_operator.builders.metadata import child
from marketpipeline_operator.builders.pod import (
    SETTINGS_FILE,
    container_security,
    environment,
    pod_template,
    ports,
    probe,
    resources,
)
from marketpipeline_operator.builders.process import Process
from marketpipeline_operator.names import PIPELINE, PROCESS, Object

__all__ = ["deployment"]


def deployment(context: Context, process: Process) -> Object:
    """The Deployment of one process.

    Ingestion is replaced, not rolled over: two that follow the same symbols would write everything twice, and what is
    missed in between is filled by id. The others give way only to a successor that is ready.
    """
    replicas = 0 if process.name in context.stopped else process.replicas
    template = pod_template(
        context,
        process=process.name,
        workload=process.workload,
        component=process.component,
        settings_hash=settings_hash(process.settings),
        container=_container(context, process),
        drain_seconds=process.drain_seconds,
    )
    if process.replicas > 1:
        template["spec"]["topologySpreadConstraints"] = [_spread(context, process)]
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
            "progressDeadlineSeconds": 300,
            "selector": {"matchLabels": _selector(context, process)},
            "strategy": _strategy(process),
            "template": template,
        }
    }


def _strategy(process: Process) -> Object:
    if process.component is Component.INGESTION:
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def _selector(context: Context, process: Process) -> dict[str, str]:
    return {PIPELINE: context.name, PROCESS: process.name}


def _spread(context: Context, process: Process) -> Object:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _selector(context, process)},
    }


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
        "resources": resources(process.cpu, process.memory),
        "securityContext": container_security(),
    }
