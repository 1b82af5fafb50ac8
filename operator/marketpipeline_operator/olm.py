"""The operator for the Operator Lifecycle Manager: a bundle in its format registry+v1; `make generate` writes it.

It is what manifests/operator installs, told in the way that a catalog wants it: rights and Deployment inside of a
ClusterServiceVersion, the CRD and what else is applied beside it. The manager chooses the namespace and makes the
ServiceAccount.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from marketpipeline import __version__
from marketpipeline.plan import Component
from marketpipeline.spec import API_VERSION, KIND

from marketpipeline_operator.chart.files import ABOUT_THE_RESOURCE, HOME, KEYWORDS, MAINTAINERS, OLDEST_KUBERNETES
from marketpipeline_operator.chart.model import example_symbols
from marketpipeline_operator.chart.writing import HEADER, document
from marketpipeline_operator.crd import NAME as CRD_NAME
from marketpipeline_operator.crd import VERSION, custom_resource_definition_yaml
from marketpipeline_operator.install import NAME, NAMESPACE, documents, lease_rules, rules
from marketpipeline_operator.settings import COMPONENTS_VERSION

__all__ = [
    "annotations_yaml",
    "cluster_service_version_yaml",
    "crd_yaml",
    "dockerfile",
    "edit_role_yaml",
    "service_yaml",
    "settings_yaml",
    "view_role_yaml",
]

_CHANNEL = "alpha"
_LABELS = {
    "operators.operatorframework.io.bundle.mediatype.v1": "registry+v1",
    "operators.operatorframework.io.bundle.manifests.v1": "manifests/",
    "operators.operatorframework.io.bundle.metadata.v1": "metadata/",
    "operators.operatorframework.io.bundle.package.v1": NAME,
    "operators.operatorframework.io.bundle.channels.v1": _CHANNEL,
    "operators.operatorframework.io.bundle.channel.default.v1": _CHANNEL,
}
_OWN_NAMESPACE = {
    "name": "MARKETPIPELINE_LEASE__NAMESPACE",
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}},
}
"""The Lease is in the namespace that the manager has chosen."""
_DESCRIPTION = """\
Ten lines of YAML, a MarketPipeline, become a real-time market data system: ingestion from exchanges' WebSockets, topics
on any Kafka, a Flink job that computes measures of the order book, candles and alerts, sinks into the stores that it
names, a query API and a dashboard. The operator keeps all of it as the resource says, and its status says how it is.
"""


def cluster_service_version_yaml() -> str:
    """What the manager installs: Deployment, rights, the resource that it owns, and every image that it may need."""
    objects = {thing["kind"]: thing for thing in documents()["deployment.yaml"]}
    deployment = deepcopy(objects["Deployment"])
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["env"] = [*container.get("env", []), _OWN_NAMESPACE]
    images = {"operator": container["image"]}
    images |= {one.value: f"marketpipeline/{one.value}:{COMPONENTS_VERSION}" for one in Component}
    spec: dict[str, Any] = {
        "displayName": "Market pipeline",
        "description": _DESCRIPTION,
        "version": __version__,
        "minKubeVersion": OLDEST_KUBERNETES,
        "maturity": "alpha",
        "keywords": KEYWORDS,
        "maintainers": [{"name": one["name"], "email": f"{one['name']}@marketpipeline.dev"} for one in MAINTAINERS],
        "provider": {"name": NAME.partition("-")[0], "url": HOME},
        "links": [{"name": "Documentation", "url": HOME}],
        "installModes": [
            {"type": mode, "supported": mode == "AllNamespaces"}
            for mode in ("OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces")
        ],
        "customresourcedefinitions": {
            "owned": [
                {
                    "name": CRD_NAME,
                    "version": VERSION,
                    "kind": KIND,
                    "displayName": "Market pipeline",
                    "description": ABOUT_THE_RESOURCE,
                }
            ]
        },
        "install": {
            "strategy": "deployment",
            "spec": {
                "clusterPermissions": [{"serviceAccountName": NAME, "rules": rules()}],
                "permissions": [{"serviceAccountName": NAME, "rules": lease_rules()}],
                "deployments": [{"name": NAME, "label": deployment["metadata"]["labels"], "spec": deployment["spec"]}],
            },
        },
        "relatedImages": [{"name": name, "image": image} for name, image in images.items()],
    }
    metadata = {"name": f"{NAME}.v{__version__}", "annotations": _annotations(container["image"])}
    return document(
        {
            "apiVersion": "operators.coreos.com/v1alpha1",
            "kind": "ClusterServiceVersion",
            "metadata": metadata,
            "spec": spec,
        }
    )


def _annotations(image: str) -> dict[str, str]:
    """What a catalog shows of it."""
    example = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "quickstart"},
        "spec": {"symbols": example_symbols()},
    }
    return {
        "alm-examples": json.dumps([example], indent=2),
        "capabilities": "Seamless Upgrades",
        "categories": "Streaming & Messaging, Big Data",
        "containerImage": image,
        "description": ABOUT_THE_RESOURCE,
        "operatorframework.io/suggested-namespace": NAMESPACE,
        "support": MAINTAINERS[0]["name"],
    }


def crd_yaml() -> str:
    """The CRD, as crds/ has it."""
    return custom_resource_definition_yaml()


def settings_yaml() -> str:
    """The settings that the Deployment mounts."""
    return _beside("deployment.yaml", "ConfigMap", NAME)


def service_yaml() -> str:
    """Where its health and metrics are read."""
    return _beside("deployment.yaml", "Service", f"{NAME}-metrics")


def edit_role_yaml() -> str:
    """Rights of users who may change pipelines, added to the cluster's roles edit and admin."""
    return _beside("rbac.yaml", "ClusterRole", f"{NAME}-edit")


def view_role_yaml() -> str:
    """Rights of users who may see them, added to view, edit and admin."""
    return _beside("rbac.yaml", "ClusterRole", f"{NAME}-view")


def annotations_yaml() -> str:
    """metadata/annotations.yaml: which package and channels the bundle is of."""
    return document({"annotations": _LABELS})


def dockerfile() -> str:
    """bundle.Dockerfile: the image of the bundle, files and the same labels."""
    labels = "".join(f"LABEL {name}={value}\n" for name, value in _LABELS.items())
    return f"{HEADER}FROM scratch\n{labels}COPY manifests /manifests/\nCOPY metadata /metadata/\n"


def _beside(file: str, kind: str, name: str) -> str:
    """An object of manifests/operator without its namespace, which is the manager's to choose."""
    found = [one for one in documents()[file] if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    (thing,) = deepcopy(found)
    thing["metadata"].pop("namespace", None)
    return document(thing)
