"""Names, labels and annotations of the project on objects of the cluster; they are spelled nowhere else."""

from __future__ import annotations

from typing import Any

from marketpipeline.spec import API_VERSION, KIND

__all__ = [
    "COMPONENT",
    "FIELD_MANAGER",
    "FINALIZER",
    "FLINK_OPERATOR",
    "FORCE_DELETE",
    "IGNORE_SECRETS",
    "INSTANCE",
    "JOB",
    "MANAGED",
    "MANAGED_BY",
    "NAMESPACE",
    "PAUSE",
    "PIPELINE",
    "PODS",
    "PREFIX",
    "PROCESS",
    "RENDERED",
    "RESTART",
    "SAVEPOINT",
    "SECRETS",
    "SETTINGS",
    "START",
    "WORKLOAD",
    "Object",
    "child_name",
    "is_owned",
    "labels",
    "owner_reference",
    "restarts_of",
    "switched_on",
]

Object = dict[str, Any]
"""A Kubernetes object as JSON."""

PREFIX = "marketpipeline.dev"
FIELD_MANAGER = "marketpipeline-operator"
FLINK_OPERATOR = "flink-kubernetes-operator"
"""What the other operator calls itself in the labels of what it is installed with."""
FINALIZER = f"{PREFIX}/ordered-deletion"
PAUSE = f"{PREFIX}/pause-reconciliation"
"""Annotation of a MarketPipeline: true makes the operator leave it alone."""
FORCE_DELETE = f"{PREFIX}/force-delete"
"""Annotation of a MarketPipeline: true makes a deletion skip every step that waits for something."""
RENDERED = f"{PREFIX}/rendered"
"""Annotation of each child: hash of what the operator wants of it."""
SETTINGS = f"{PREFIX}/settings"
"""Annotation of Pods: hash of the settings that are read at start, so that a change of them replaces the Pod."""

SECRETS = f"{PREFIX}/secrets"
"""Annotation of Pods: how often each Secret that they read has changed."""
IGNORE_SECRETS = f"{PREFIX}/ignore-secret-changes"
"""Annotation of a MarketPipeline: true keeps the Pods as they are when a Secret that they read changes."""

RESTART = f"{PREFIX}/restarted-at"
"""Annotation of a MarketPipeline, by custom the time: another value replaces all its Pods, one process of ingestion
after another and the stream job with a savepoint. With `.` and a component at its end it is of that component's Pods
only. The Pods have it too."""

SAVEPOINT = f"{PREFIX}/savepoint"
"""Annotation of a MarketPipeline: whenever its text changes a savepoint is taken."""

JOB = f"{PREFIX}/job"
"""Annotation of a JobManager: hash of the whole job as it was started, its savepoint left out."""

START = f"{PREFIX}/start"
"""Annotation of a JobManager's Pod: which start of the job it is, where the job was restarted on its own."""

PIPELINE = f"{PREFIX}/pipeline"
"""Label of each child: the pipeline it belongs to; events of a child find their pipeline by it."""
NAMESPACE = f"{PREFIX}/namespace"
"""Label of a topic's resource that is not in its pipeline's namespace: which that is."""
WORKLOAD = f"{PREFIX}/workload"
PROCESS = f"{PREFIX}/process"
COMPONENT = "app.kubernetes.io/component"
INSTANCE = "app.kubernetes.io/instance"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED = {MANAGED_BY: FIELD_MANAGER}
PODS = "pods"
"""Part of the names of what concerns all Pods of a pipeline."""


def switched_on(pipeline: Object, annotation: str) -> bool | None:
    """Whether an annotation of a pipeline says true or false, in any spelling of case; None where it says neither."""
    value = str((pipeline["metadata"].get("annotations") or {}).get(annotation, "false")).strip().lower()
    return {"true": True, "false": False, "": False}.get(value)


def restarts_of(pipeline: Object) -> dict[str, str]:
    """What the annotations of a pipeline say of restarts, by component; '' is all of them."""
    found = pipeline["metadata"].get("annotations") or {}
    return {
        name.removeprefix(RESTART).removeprefix("."): str(value)
        for name, value in sorted(found.items())
        if name == RESTART or name.startswith(f"{RESTART}.")
    }


def is_owned(metadata: Object, uid: str) -> bool:
    """Whether an object is of the pipeline with this uid."""
    return any(owner["uid"] == uid for owner in metadata.get("ownerReferences") or [])


def child_name(pipeline: str, part: str) -> str:
    """Name of a child: with at most 40 characters of the pipeline it keeps every limit (CronJob 52, Flink 45)."""
    return f"{pipeline}-{part}"


def labels(pipeline: str, **more: str) -> dict[str, str]:
    """Labels of a child; a keyword `workload` or `process` or `component` adds that label."""
    names = {"component": COMPONENT, "workload": WORKLOAD, "process": PROCESS}
    common = {"app.kubernetes.io/name": "marketpipeline", INSTANCE: pipeline, PIPELINE: pipeline, **MANAGED}
    return common | {names[key]: value for key, value in more.items()}


def owner_reference(name: str, uid: str) -> Object:
    """What makes the cluster remove a child with its pipeline."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
