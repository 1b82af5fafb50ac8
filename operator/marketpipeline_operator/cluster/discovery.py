"""What the cluster offers: APIs of other operators, and whether its CRD knows every field of this release."""

from __future__ import annotations

import logging
from typing import Any

from marketpipeline.errors import MarketPipelineError

from marketpipeline_operator.builders import Capabilities
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.kinds import DEPLOYMENT, OPTIONAL_KINDS, PIPELINE_KIND, POD, Kind
from marketpipeline_operator.crd import custom_resource_definition
from marketpipeline_operator.names import FLINK_OPERATOR

__all__ = ["capabilities_of", "discover", "flink_namespaces", "is_openshift", "is_served", "outdated_fields"]

_log = logging.getLogger(__name__)


async def discover(kubernetes: Kubernetes) -> frozenset[Kind]:
    """The optional kinds that the cluster serves, each in one version."""
    found: set[Kind] = set()
    for api_version in {kind.api_version for kind in OPTIONAL_KINDS}:
        served = await kubernetes.read(f"/apis/{api_version}")
        plurals = {resource["name"] for resource in served.get("resources", [])}
        found |= {kind for kind in OPTIONAL_KINDS if kind.api_version == api_version and kind.plural in plurals}
    return frozenset(kind for kind in found if kind == next(each for each in _versions_of(kind) if each in found))


def _versions_of(kind: Kind) -> list[Kind]:
    """The versions of a kind that this release knows, the one that it likes best first."""
    return [each for each in OPTIONAL_KINDS if (each.group, each.kind) == (kind.group, kind.kind)]


def capabilities_of(kinds: frozenset[Kind], *, openshift: bool = False) -> Capabilities:
    """The same in the builders' terms."""
    names = {kind.kind for kind in kinds}
    topics = next((kind.version for kind in kinds if kind.kind == "KafkaTopic"), "v1")
    return Capabilities(
        flink="FlinkDeployment" in names,
        redpanda="Topic" in names,
        strimzi="KafkaTopic" in names,
        strimzi_version=topics,
        openshift=openshift,
        prometheus={"ServiceMonitor", "PrometheusRule"} <= names,
    )


async def is_openshift(kubernetes: Kubernetes) -> bool:
    """Whether the cluster gives each namespace users of its own, and refuses Pods that ask for another."""
    served = await kubernetes.read("/apis/security.openshift.io/v1")
    return any(resource["name"] == "securitycontextconstraints" for resource in served.get("resources", []))


async def flink_namespaces(kubernetes: Kubernetes) -> tuple[str, ...]:
    """Where operators of Flink are, sorted; nothing where none is, or this operator may not look into other namespaces.

    Its chart labels Deployment and Pods; other ways to install it only the Pods, which come and go.
    """
    found = set()
    try:
        for kind in (DEPLOYMENT, POD):
            async for thing in kubernetes.list(kind, None, f"app.kubernetes.io/name={FLINK_OPERATOR}"):
                found.add(str(thing["metadata"]["namespace"]))
    except MarketPipelineError as error:
        _log.warning("operators of Flink not looked for", extra={"error": str(error)})
    return tuple(sorted(found))


async def is_served(kubernetes: Kubernetes) -> bool:
    """Whether the cluster has our CRD at all."""
    served = await kubernetes.read(f"/apis/{PIPELINE_KIND.api_version}")
    return any(resource["name"] == PIPELINE_KIND.plural for resource in served.get("resources", []))


async def outdated_fields(kubernetes: Kubernetes) -> list[str]:
    """Fields of this release that the cluster's CRD does not know: it would drop them without a word.

    Read from the OpenAPI document that every account may read, so it takes no right to read CRDs.
    """
    document = await kubernetes.read(f"/openapi/v3/apis/{PIPELINE_KIND.api_version}")
    schemas = document.get("components", {}).get("schemas", {})
    served = next((s for name, s in schemas.items() if name.endswith(f".{PIPELINE_KIND.kind}")), None)
    if served is None:
        return []
    wanted = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return sorted(set(_paths(wanted, "")) - set(_paths(served, "")))


def _paths(schema: dict[str, Any], prefix: str) -> list[str]:
    found = []
    for name, part in schema.get("properties", {}).items():
        path = f"{prefix}.{name}" if prefix else name
        if path != "metadata":
            found += [path, *_paths(part.get("items", part), path)]
    return found
