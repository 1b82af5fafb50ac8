"""The chart's generated files: Chart.yaml, the CRD as a template, the rights, values.yaml and its schema."""

from __future__ import annotations

from typing import Any

import yaml
from marketpipeline import __version__

from marketpipeline_operator.chart import writing
from marketpipeline_operator.chart.values import Values
from marketpipeline_operator.crd import NAME, custom_resource_definition_yaml
from marketpipeline_operator.install import lease_rules, rules, user_rules

__all__ = [
    "HOME",
    "MAINTAINERS",
    "chart_yaml",
    "crd_template",
    "edit_rules_yaml",
    "lease_rules_yaml",
    "rules_yaml",
    "values_schema_json",
    "values_yaml",
    "view_rules_yaml",
]

HOME = "https://marketpipeline.dev"
MAINTAINERS = [{"name": "marketpipeline", "url": HOME}]
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
    chart = {
        "apiVersion": "v2",
        "name": "marketpipeline-operator",
        "description": "The operator that makes a market data pipeline of a MarketPipeline resource.",
        "type": "application",
        "version": __version__,
        "appVersion": __version__,
        # CEL rules in a CRD, which refuse a wrong MarketPipeline at once.
        "kubeVersion": ">=1.29.0-0",
        "keywords": ["market-data", "kafka", "flink", "timescaledb", "operator"],
        "annotations": {"artifacthub.io/operator": "true", "artifacthub.io/license": "Apache-2.0"},
    }
    return writing.chart_yaml(chart)


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
