"""What the builders read, and what all objects that they make have in common.

The context is the pipeline's plan, its owner and the operator's settings; a process is a workload of the plan as it is
deployed. Ingestion is one process for each of its replicas, each with its own symbols and so settings of its own: when
a symbol is added, only the process that takes it is replaced. A replica without a symbol is left out. Copies of a
replica are Pods of one Deployment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marketpipeline.plan import Component, Plan, Workload
from marketpipeline.sharding import shards
from marketpipeline.spec import MarketPipeline

from marketpipeline_operator.names import RENDERED, Object, child_name, labels, owner_reference
from marketpipeline_operator.settings import OperatorSettings

__all__ = ["Capabilities", "Context", "JobState", "Process", "address_of", "child", "digest", "processes", "sealed"]


@dataclass(frozen=True)
class Capabilities:
    """Which APIs that are not Kubernetes' own the cluster serves."""

    flink: bool = False
    flink_namespaces: tuple[str, ...] = ()
    redpanda: bool = False
    strimzi: bool = False
    strimzi_version: str = "v1"
    prometheus: bool = False
    openshift: bool = False


@dataclass(frozen=True)
class JobState:
    """What the stream job shall do now: whether it runs, and which start it is.

    Another `start` is another Pod of the JobManager, so that the job is restarted though nothing else of it differs.
    """

    running: bool = True
    start: str | None = None


@dataclass(frozen=True)
class Context:
    """All that the objects of one pipeline are made from; the same context gives the same objects.

    `stopped` names the processes that shall have no replicas, while a pipeline is suspended or about to be.
    `secret_changes` says by name how often a Secret has changed, so that its readers start again with each change.
    `restarts` has by component ('' for all) what was said of the last restart that somebody asked for.
    `decided` is how the job runs by now, operator or standalone: with `auto` it stays so, whatever is installed later.
    """

    pipeline: MarketPipeline
    plan: Plan
    uid: str
    settings: OperatorSettings
    capabilities: Capabilities = field(default_factory=Capabilities)
    job: JobState = field(default_factory=JobState)
    stopped: frozenset[str] = frozenset()
    hold_workloads: bool = False
    decided: str | None = None
    secret_changes: Mapping[str, int] = field(default_factory=dict)
    restarts: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.pipeline.name

    @property
    def namespace(self) -> str:
        return self.pipeline.metadata.namespace or "default"

    @property
    def uses_flink_operator(self) -> bool:
        """Whether the job is a FlinkDeployment."""
        mode = self.plan.stream_job.mode if self.plan.stream_job else "standalone"
        if mode == "auto" and self.decided:
            mode = self.decided
        return mode == "operator" or (mode == "auto" and self.capabilities.flink)

    @property
    def topic_provider(self) -> str:
        """Who creates the topics: redpanda, strimzi or admin."""
        broker = self.pipeline.spec.broker
        if broker.provider.value != "auto":
            return broker.provider.value
        if broker.cluster and self.capabilities.redpanda:
            return "redpanda"
        return "strimzi" if broker.cluster and self.capabilities.strimzi else "admin"


def digest(value: Any) -> str:
    """Sixteen hexadecimal digits that follow from the JSON of `value`, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def child(
    context: Context, api_version: str, kind: str, part: str, *, owned: bool = True, **more_labels: str
) -> Object:
    """The head of a child. `part` names it within the pipeline.

    None has the pipeline's own name, and of one kind no part ends with `-` and another part: so the names of two
    pipelines' children cannot meet, nor that of a pipeline and an object that others made for it.
    """
    metadata: Object = {
        "name": child_name(context.name, part),
        "namespace": context.namespace,
        "labels": labels(context.name, **more_labels),
    }
    if owned:
        metadata["ownerReferences"] = [owner_reference(context.name, context.uid)]
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def sealed(thing: Object) -> Object:
    """`thing` with the annotation that says what was rendered, by which an unchanged object is known."""
    metadata = thing["metadata"]
    annotations = metadata.get("annotations", {}) | {RENDERED: digest(thing)}
    return thing | {"metadata": metadata | {"annotations": annotations}}


class Process(Workload):
    """A workload of one Deployment; `workload` is the name that it has in the plan."""

    workload: str


def processes(context: Context) -> list[Process]:
    """Every process of the plan but the stream job's, in the plan's order."""
    found = []
    for workload in context.plan.workloads:
        fields = workload.model_dump()
        if workload.component is Component.DASHBOARD:
            fields["settings"]["api"]["url"] = address_of(context, Component.API)
        if workload.component is not Component.INGESTION:
            found.append(Process(**fields, workload=workload.name))
            continue
        for replica, symbols in enumerate(shards(workload.settings["symbols"], workload.replicas)):
            if symbols:
                found.append(Process(**(fields | _replica(workload, replica, symbols)), workload=workload.name))
    return found


def address_of(context: Context, component: Component) -> str | None:
    """URL of a component's Service inside of the cluster, or None where the pipeline has none."""
    for workload in context.plan.workloads:
        if workload.component is component:
            name, port = child_name(context.name, workload.name), workload.ports[0]
            return f"{port.name}://{name}.{context.namespace}.svc:{port.number}"
    return None


def _replica(workload: Workload, replica: int, symbols: list[str]) -> dict[str, Any]:
    settings = workload.settings | {"symbols": symbols, "replica": 0, "replicas": 1}
    return {"name": f"{workload.name}-{replica}", "settings": settings, "replicas": workload.copies, "copies": 1}
