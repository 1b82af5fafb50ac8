"""PodDisruptionBudgets: a drain of nodes takes one Pod of a workload at a time."""

from __future__ import annotations

from marketpipeline_operator.builders.context import Context
from marketpipeline_operator.builders.metadata import child
from marketpipeline_operator.names import PIPELINE, WORKLOAD, Object

__all__ = ["disruption_budget"]


def disruption_budget(context: Context, workload: str) -> Object:
    """One for a workload of several replicas; of a single one it could only forbid the drain or mean nothing."""
    return child(context, "policy/v1", "PodDisruptionBudget", workload, workload=workload) | {
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": {PIPELINE: context.name, WORKLOAD: workload}},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        }
    }
