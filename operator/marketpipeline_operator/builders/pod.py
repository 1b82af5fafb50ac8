"""The Pod of a process, its settings and its identity.

A Pod is non-root, nothing in it is writable but /tmp, it has no privileges and no token of the API server. Its settings
are a ConfigMap, the JSON file that the process reads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from marketpipeline.plan import Component, Port, Preparation, Probe, SecretEnv

from marketpipeline_operator.builders.context import Context, child, digest
from marketpipeline_operator.builders.placement import placed
from marketpipeline_operator.names import PODS, RESTART, SECRETS, SETTINGS, Object, child_name, labels

__all__ = [
    "CONFIG_FOLDER",
    "common_mounts",
    "container_security",
    "environment",
    "pod_security",
    "pod_template",
    "probe",
    "service_account",
    "settings_config_map",
    "settings_hash",
]

CONFIG_FOLDER = "/etc/marketpipeline"
SETTINGS_FILE = f"{CONFIG_FOLDER}/settings.json"
USER = 65532
_STOPPING_SLACK = 10
"""Seconds beyond the drain until the kubelet kills: for the process to start and to exit."""


def pod_template(
    context: Context,
    *,
    process: str,
    workload: str,
    component: Component,
    settings_hash: str,
    container: Object,
    drain_seconds: int,
    user: int = USER,
    restart_policy: str | None = None,
) -> Object:
    """The template for a Pod with one container that reads its settings from the ConfigMap of the same name."""
    spec: Object = {
        "serviceAccountName": child_name(context.name, PODS),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": drain_seconds + _STOPPING_SLACK,
        "securityContext": pod_security(None if context.capabilities.openshift else user),
        "containers": [container | _mounts(container)],
        "volumes": [
            {"name": "settings", "configMap": {"name": child_name(context.name, process)}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
        ],
    }
    if restart_policy:
        spec["restartPolicy"] = restart_policy
    marks = labels(context.name, component=component.value, workload=workload, process=process)
    annotations = {SETTINGS: settings_hash} | _secrets_mark(context, container) | _restart_mark(context, component)
    template: Object = {"metadata": {"labels": marks, "annotations": annotations}, "spec": spec}
    return placed(context, component, workload, template)


def _secrets_mark(context: Context, container: Object) -> dict[str, str]:
    """The changes of the Secrets that a container reads; nothing where none has changed."""
    sources = (variable.get("valueFrom", {}).get("secretKeyRef", {}) for variable in container.get("env", []))
    names = sorted({source["name"] for source in sources if source.get("name") in context.secret_changes})
    return {SECRETS: " ".join(f"{name}={context.secret_changes[name]}" for name in names)} if names else {}


def _restart_mark(context: Context, component: Component) -> dict[str, str]:
    """When somebody last asked for a restart of all or of this component; nothing where nobody has."""
    asked = [context.restarts[name] for name in ("", component.value) if name in context.restarts]
    return {RESTART: " ".join(asked)} if asked else {}


def _mounts(container: Object) -> Object:
    own = container.get("volumeMounts", [])
    return {"volumeMounts": common_mounts() + own}


def common_mounts() -> list[Object]:
    """What every container of a process mounts: its settings and a place for temporary files."""
    settings = {"name": "settings", "mountPath": CONFIG_FOLDER, "readOnly": True}
    return [settings, {"name": "tmp", "mountPath": "/tmp"}]


def pod_security(user: int | None) -> Object:
    """Security of a whole Pod, as the `restricted` Pod security standard wants it; without a user the cluster gives
    one, as OpenShift does."""
    common: Object = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return common if user is None else {"runAsUser": user, "runAsGroup": user, "fsGroup": user} | common


def container_security() -> Object:
    """Security of a container."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def environment(secrets: Sequence[SecretEnv]) -> list[Object]:
    """Variables that come from Secrets; the value is read by the kubelet, never by this operator's objects."""
    return [
        {"name": secret.variable, "valueFrom": {"secretKeyRef": {"name": secret.secret, "key": secret.key}}}
        for secret in secrets
    ]


def ports(found: Sequence[Port]) -> list[Object]:
    """Ports of a container."""
    return [{"name": port.name, "containerPort": port.number, "protocol": "TCP"} for port in found]


def probe(wanted: Probe) -> Object:
    """A probe of the plan in Kubernetes' terms; a health check that takes over 5 s has failed."""
    return {
        "httpGet": {"path": wanted.path, "port": wanted.port},
        "periodSeconds": wanted.period,
        "failureThreshold": wanted.failures,
        "timeoutSeconds": 5,
    }


_IN_FORCE_WITHOUT_RESTART = frozenset({"thresholds"})
"""Settings that a running process takes from elsewhere (the thresholds topic): a change replaces no Pod."""


def settings_config_map(
    context: Context, process: str, component: Component, settings: dict[str, Any], *also: Preparation | None
) -> Object:
    """The ConfigMap that a process, and what is done before it, mounts at /etc/marketpipeline."""
    head = child(context, "v1", "ConfigMap", process, component=component.value, process=process)
    files = {"settings": settings, **{each.name: each.settings for each in also if each is not None}}
    texts = {f"{name}.json": json.dumps(held, indent=1, sort_keys=True) + "\n" for name, held in files.items()}
    return head | {"data": texts}


def settings_hash(settings: dict[str, Any]) -> str:
    """Hash of what a process reads at its start only."""
    return digest({key: value for key, value in settings.items() if key not in _IN_FORCE_WITHOUT_RESTART})


def service_account(context: Context) -> Object:
    """The ServiceAccount; its token is not mounted."""
    return child(context, "v1", "ServiceAccount", PODS) | {"automountServiceAccountToken": False}
