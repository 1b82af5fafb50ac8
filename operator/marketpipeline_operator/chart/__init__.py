"""The generated files of the Helm chart: description, values, their schema, the CRD and the rights; `make generate`.

The templates that are written by hand only interpolate. tests/helm holds what they render against `install.py`.
"""

from __future__ import annotations

from marketpipeline_operator.chart.files import (
    chart_yaml,
    crd_template,
    edit_rules_yaml,
    lease_rules_yaml,
    rules_yaml,
    values_schema_json,
    values_yaml,
    view_rules_yaml,
)
from marketpipeline_operator.chart.values import Values

__all__ = [
    "Values",
    "chart_yaml",
    "crd_template",
    "edit_rules_yaml",
    "lease_rules_yaml",
    "rules_yaml",
    "values_schema_json",
    "values_yaml",
    "view_rules_yaml",
]
