"""What a spec says of the Pods of a component: where they run, as whom, with which limits and additions."""

from __future__ import annotations

from typing import Any

from marketpipeline.plan import Component
from marketpipeline.schema import PodTemplate, Resources

from marketpipeline_operator.builders.context import Context
from marketpipeline_operator.names import PIPELINE, WORKLOAD, Object

__all__ = ["placed", "resources"]

_ZONE, _NODE = "topology.kubernetes.io/zone", "kubernetes.io/hostname"


def placed(context: Context, component: Component, workload: str, template: Object) -> Object:
    """A Pod's template as the spec wants it. What the operator itself says with a label, an annotation or a variable
    stays."""
    own, metadata, spec = _template_of(context, component), template["metadata"], template["spec"]
    [container] = spec["containers"]
    added = {
        "nodeSelector": own.node_selector,
        "tolerations": own.tolerations,
        "affinity": own.affinity,
        "priorityClassName": own.priority_class_name,
        "topologySpreadConstraints": _spread(context, workload, own),
        "imagePullSecrets": [{"name": name} for name in _pull_secrets(context, own)],
    }
    more = {"securityContext": spec["securityContext"] | own.security_context, "containers": [_with(container, own)]}
    if first := spec.get("initContainers"):
        more["initContainers"] = [_with(each, own) for each in first]
    marks = {name: {**getattr(own, name), **metadata[name]} for name in ("labels", "annotations")}
    return {"metadata": metadata | marks, "spec": spec | more | {key: value for key, value in added.items() if value}}


def _with(container: Object, own: PodTemplate) -> Object:
    """A container with the variables that the spec adds."""
    known = {variable["name"] for variable in container.get("env", [])}
    variables = [*container.get("env", []), *(each for each in own.env if each.get("name") not in known)]
    return container | ({"env": variables} if own.env else {})


def resources(context: Context, component: Component, cpu: str, memory: str) -> Object:
    """Requests and limits of a container."""
    said: Resources = _section(context, component).resources
    cpu_limit, memory_limit = (said.limits.cpu, said.limits.memory) if said.limits else (None, None)
    limits = {"memory": memory_limit or memory} | ({"cpu": cpu_limit} if cpu_limit else {})
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": limits}


def _section(context: Context, component: Component) -> Any:
    """The part of the spec that a component is described in."""
    spec = context.pipeline.spec
    if component.sink is not None:
        return getattr(spec.sinks, component.sink.name)
    sections = {
        Component.INGESTION: spec.ingestion,
        Component.STREAM_JOB: spec.processing,
        Component.DASHBOARD: spec.dashboard,
    }
    return sections.get(component, spec.api)


def _template_of(context: Context, component: Component) -> PodTemplate:
    own: PodTemplate | None = _section(context, component).pod
    return (own or PodTemplate()).over(context.pipeline.spec.pods or PodTemplate())


def _pull_secrets(context: Context, own: PodTemplate) -> list[str]:
    return list(dict.fromkeys([*context.settings.images.pull_secrets, *own.image_pull_secrets]))


def _spread(context: Context, workload: str, own: PodTemplate) -> list[Object]:
    """As it is said, else what is there more than once over zones and nodes, where these have room."""
    if own.topology_spread_constraints is not None:
        return own.topology_spread_constraints
    counts = {each.name: each.replicas * each.copies for each in context.plan.workloads}
    if job := context.plan.stream_job:
        counts[job.name] = job.parallelism
    if counts.get(workload, 1) < 2:
        return []
    labels = {PIPELINE: context.name, WORKLOAD: workload}
    common = {"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": labels}}
    return [{"topologyKey": key, **common} for key in (_ZONE, _NODE)]
