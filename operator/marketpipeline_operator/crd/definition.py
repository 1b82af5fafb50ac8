"""The CustomResourceDefinition as one document, and as the YAML that is checked in."""

from __future__ import annotations

from typing import Any

import yaml
from marketpipeline.spec import API_VERSION, KIND, PipelineSpec

from marketpipeline_operator.crd.schema import structural
from marketpipeline_operator.crd.status import STATUS
from marketpipeline_operator.crd.validation import attach

__all__ = [
    "GROUP",
    "NAME",
    "PLURAL",
    "VERSION",
    "ManifestDumper",
    "custom_resource_definition",
    "custom_resource_definition_yaml",
]

GROUP, VERSION = API_VERSION.split("/")
PLURAL = "marketpipelines"
NAME = f"{PLURAL}.{GROUP}"

_HEADER = "# Generated from marketpipeline.spec by `make generate`; do not edit.\n"
_SETS = ("symbols", "exclude", "feeds", "windows")


def custom_resource_definition() -> dict[str, Any]:
    """The whole CRD; the same release gives the same document."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["mp"],
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [_version()],
        },
    }


def custom_resource_definition_yaml() -> str:
    """The file in crds/."""
    return _HEADER + yaml.dump(
        custom_resource_definition(), Dumper=ManifestDumper, sort_keys=False, width=110, allow_unicode=True
    )


class ManifestDumper(yaml.SafeDumper):
    """YAML of manifests: without anchors, which a reader of them does not expect."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _version() -> dict[str, Any]:
    spec = structural(PipelineSpec)
    for name in _SETS:
        spec["properties"][name]["x-kubernetes-list-type"] = "set"
    schema = {
        "type": "object",
        "description": (
            "A market data pipeline: from an exchange's feeds through topics and a stream job to stores and a query "
            "API. Only `spec.symbols` has to be given."
        ),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{API_VERSION}."},
            "kind": {"type": "string", "description": f"{KIND}."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": STATUS,
        },
    }
    attach(schema)
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.ingestion.replicas",
                "statusReplicasPath": ".status.ingestion.replicas",
                "labelSelectorPath": ".status.ingestion.selector",
            },
        },
        "additionalPrinterColumns": _columns(),
    }


def _columns() -> list[dict[str, Any]]:
    def condition(kind: str, field: str) -> str:
        return f'.status.conditions[?(@.type=="{kind}")].{field}'

    def column(name: str, kind: str, path: str, description: str, priority: int = 0) -> dict[str, Any]:
        return {"name": name, "type": kind, "jsonPath": path, "description": description, "priority": priority}

    return [
        column("Phase", "string", ".status.phase", "The whole in one word."),
        column("Ready", "string", condition("Ready", "status"), "Whether every part does its work."),
        column("Processes", "string", ".status.processes", "Processes that do their work, of those that should run."),
        column("Flowing", "string", condition("DataFlowing", "status"), "Whether the exchanges' data is read."),
        column("Symbols", "integer", ".status.symbols", "Symbols that the pipeline follows."),
        column("Problem", "string", ".status.problem", "What is wrong, in one word; empty where nothing is."),
        column("Lag", "integer", ".status.data.lag", "Records that the sinks have to store still.", 1),
        column("Gaps", "integer", ".status.data.gapsLastHour", "Gaps of the last hour.", 1),
        column("Job", "string", ".status.job.state", "State of the stream job.", 1),
        column("Checkpoint", "date", ".status.job.checkpointTime", "Age of the job's newest checkpoint.", 1),
        column("API", "string", ".status.addresses.api", "URL of the query API inside of the cluster.", 1),
        column("Message", "string", condition("Degraded", "message"), "What is wrong, in full.", 1),
        column("Age", "date", ".metadata.creationTimestamp", "Time since it was created."),
    ]
