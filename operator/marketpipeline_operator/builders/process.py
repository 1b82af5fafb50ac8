"""Processes: the workloads of a plan as they are deployed, ingestion as one for each of its replicas.

Each replica of ingestion has its own symbols and so settings of its own: when a symbol is added, only the process
that takes it is replaced. A replica without a symbol is left out.
"""

from __future__ import annotations

from typing import Any

from marketpipeline.plan import Component, Workload
from marketpipeline.sharding import shards

from marketpipeline_operator.builders.context import Context

__all__ = ["Process", "processes"]


class Process(Workload):
    """A workload of one Deployment; `workload` is the name that it has in the plan."""

    workload: str


def processes(context: Context) -> list[Process]:
    """Every process of the plan but the stream job's, in the plan's order."""
    found = []
    for workload in context.plan.workloads:
        fields = workload.model_dump()
        if workload.component is not Component.INGESTION:
            found.append(Process(**fields, workload=workload.name))
            continue
        for replica, symbols in enumerate(shards(workload.settings["symbols"], workload.replicas)):
            if symbols:
                found.append(Process(**(fields | _replica(workload, replica, symbols)), workload=workload.name))
    return found


def _replica(workload: Workload, replica: int, symbols: list[str]) -> dict[str, Any]:
    settings = workload.settings | {"symbols": symbols, "replica": 0, "replicas": 1}
    return {"name": f"{workload.name}-{replica}", "settings": settings, "replicas": 1}
