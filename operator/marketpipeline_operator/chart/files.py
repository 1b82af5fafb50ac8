"""The chart's generated files: Chart.yaml, the CRD as a template, the rights, values.yaml and its schema."""

from __future__ import annotations

from typing import Any

import yaml
from marketpipeline import __version__
from marketpipeline.plan import Component
from marketpipeline.spec import API_VERSION, KIND

from marketpipeline_operator.chart import writing
from marketpipeline_operator.chart.model import example_symbols
from marketpipeline_operator.chart.values import Values
from marketpipeline_operator.crd import NAME, VERSION, custom_resource_definition_yaml
from marketpipeline_operator.install import lease_rules, rules, user_rules
from marketpipeline_operator.settings import COMPONENTS_VERSION

__all__ = [
    "ABOUT_THE_RESOURCE",
    "HOME",
    "KEYWORDS",
    "MAINTAINERS",
    "OLDEST_KUBERNETES",
    "chart_yaml",
    "crd_template",
    "edit_rules_yaml",
    "lease_rules_yaml",
    "readme",
    "rules_yaml",
    "values_schema_json",
    "values_yaml",
    "view_rules_yaml",
]

HOME = "https://marketpipeline.dev"
MAINTAINERS = [{"name": "marketpipeline", "url": HOME}]
KEYWORDS = ["market-data", "kafka", "flink", "timescaledb", "operator"]
OLDEST_KUBERNETES = "1.29.0"
"""The first with CEL rules in a CRD switched on for good, which refuse a wrong MarketPipeline at once."""
ABOUT_THE_RESOURCE = "From an exchange's feeds through topics and a stream job to stores and a query API."
_METADATA = f"metadata:\n  name: {NAME}\n"
_TEMPLATE_METADATA = f"""\
metadata:
  name: {NAME}
  labels:
    {{{{- include "marketpipeline-operator.labels" . | nindent 4 }}}}
  {{{{- if .Values.crds.keep }}}}
  annotations:
    helm.sh/resource-policy: keep
  {{{{- end }}}}
"""


def chart_yaml() -> str:
    """Chart.yaml; chart and operator are released together, so they have one version."""
    return writing.document(
        {
            "apiVersion": "v2",
            "name": "marketpipeline-operator",
            "description": "The operator that makes a market data pipeline of a MarketPipeline resource.",
            "type": "application",
            "version": __version__,
            "appVersion": __version__,
            "kubeVersion": f">={OLDEST_KUBERNETES}-0",
            "keywords": KEYWORDS,
            "home": HOME,
            "icon": f"{HOME}/images/icon.svg",
            "maintainers": MAINTAINERS,
            "annotations": _artifact_hub(),
        }
    )


def _artifact_hub() -> dict[str, str]:
    """What Artifact Hub shows of it: the resource with an example, and every image that it brings to a cluster."""
    example = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "quickstart"},
        "spec": {"symbols": example_symbols()},
    }
    crd = {"kind": KIND, "version": VERSION, "name": NAME, "displayName": "Market pipeline"}
    crd["description"] = ABOUT_THE_RESOURCE
    images = [{"name": "operator", "image": f"marketpipeline/operator:{__version__}"}]
    images += [
        {"name": component.value, "image": f"marketpipeline/{component.value}:{COMPONENTS_VERSION}"}
        for component in Component
    ]
    lists = {"crds": [crd], "crdsExamples": [example], "images": images, "changes": _CHANGES, "links": _LINKS}
    return {
        "artifacthub.io/operator": "true",
        "artifacthub.io/operatorCapabilities": "Seamless Upgrades",
        "artifacthub.io/category": "streaming-messaging",
        "artifacthub.io/license": "Apache-2.0",
        **{f"artifacthub.io/{name}": writing.block(found) for name, found in lists.items()},
    }


_CHANGES = [
    {"kind": "added", "description": "A Service for health and metrics, `helm test`, a NetworkPolicy and a budget"},
    {"kind": "added", "description": "Common labels, volumes and their mounts"},
]
_LINKS = [{"name": "Documentation", "url": HOME}]


def readme() -> str:
    """README.md: how it is installed, and every value."""
    return writing.readme(_ABOUT, Values())


_ABOUT = """\
# marketpipeline-operator

The operator that makes a market data pipeline of a MarketPipeline resource.

    helm install marketpipeline-operator helm/marketpipeline-operator \\
        --namespace marketpipeline-system --create-namespace --values my-values.yaml
    helm test marketpipeline-operator --namespace marketpipeline-system

A value that is misspelt or wrong is refused by name before anything is created. The CRD is upgraded with the release
and outlives `helm uninstall`, and so do pipelines. Where it was applied by `kubectl` before, add `--take-ownership` to
the first installation (helm 3.17 or newer). What a pipeline runs on is the chart [market-stack](../market-stack).
"""


def crd_template() -> str:
    """The CRD of crds/ as a template, since helm never upgrades what lies in a chart's crds/ (docs/decisions/0084)."""
    text = custom_resource_definition_yaml().replace("{{", '{{ "{{" }}')
    head, found, tail = text.partition(_METADATA)
    if not found:
        raise ValueError(f"the CRD does not contain {_METADATA!r}")
    return f"{{{{- if .Values.crds.install }}}}\n{head}{_TEMPLATE_METADATA}{tail}{{{{- end }}}}\n"


def rules_yaml() -> str:
    """Rights in each namespace that the operator serves."""
    return _rules(rules())


def lease_rules_yaml() -> str:
    """Rights in the operator's own namespace."""
    return _rules(lease_rules())


def view_rules_yaml() -> str:
    """Rights of whoever may look at a namespace."""
    return _rules(user_rules()["view"][0])


def edit_rules_yaml() -> str:
    """What is added to these for whoever may change things in it."""
    return _rules(user_rules()["edit"][0])


def _rules(found: list[dict[str, Any]]) -> str:
    return writing.HEADER + yaml.safe_dump(found, sort_keys=False)


def values_yaml() -> str:
    """The file; `settings` is empty, with its defaults as a comment, so that a release pins none of them."""
    return writing.values_yaml(Values())


def values_schema_json() -> str:
    """Which values are right."""
    return writing.values_schema_json(Values)
