"""A plan as text for people, and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from marketpipeline.alert_kinds import AlertKind, alert_kinds
from marketpipeline.plan.model import Plan
from marketpipeline.records import SymbolThresholds

__all__ = ["plan_as_json", "plan_as_text"]


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """The plan as a JSON object; thresholds in the form of the records on the wire."""
    document = plan.model_dump(mode="json", exclude={"thresholds"})
    return document | {"thresholds": [json.loads(msgspec.json.encode(record)) for record in plan.thresholds]}


def plan_as_text(plan: Plan) -> str:
    """The plan as tables, a section a kind."""
    lines = [f"pipeline {plan.pipeline}" + (" (suspended)" if plan.suspended else "")]
    lines += _section(
        "topics",
        ("name", "partitions", "replicas", "settings"),
        (
            (t.name, t.partitions, t.replication_factor, " ".join(f"{k}={v}" for k, v in sorted(t.config.items())))
            for t in plan.topics
        ),
    )
    lines += _section(
        "workloads",
        ("name", "component", "replicas", "ports", "ready when", "cpu", "memory"),
        (
            (
                w.name,
                w.component,
                w.replicas if w.copies == 1 else f"{w.replicas} x {w.copies}",
                ",".join(str(port.number) for port in w.ports),
                f"GET {w.readiness.path}",
                w.cpu,
                w.memory,
            )
            for w in plan.workloads
        ),
    )
    if plan.stream_job is not None:
        job = plan.stream_job
        lines += _section(
            "stream job",
            ("name", "mode", "parallelism", "state", "checkpoints"),
            [
                (
                    job.name,
                    job.mode,
                    job.parallelism,
                    job.state_backend,
                    f"every {job.checkpoint_interval_ms} ms to {job.checkpoint_directory}",
                )
            ],
        )
    lines += _section(
        "scheduled jobs",
        ("name", "component", "schedule (UTC)", "at most"),
        ((s.name, s.component, s.schedule, f"{s.timeout_seconds} s") for s in plan.scheduled_jobs),
    )
    lines += _section(
        "thresholds",
        ("symbol", *(kind.title for kind in alert_kinds().values())),
        ((record.symbol, *(_shown(kind, record) for kind in alert_kinds().values())) for record in plan.thresholds),
    )
    return "\n".join(lines)


def _shown(kind: AlertKind, record: SymbolThresholds) -> str:
    """The thresholds of an alert, the least severe first."""
    multiples = (record.values.get(threshold.usual_name, 0.0) for threshold in kind.thresholds)
    return "/".join(
        f"x{multiple:g} usual" if multiple else threshold.shown(record.values[threshold.name])
        for threshold, multiple in zip(kind.thresholds, multiples, strict=True)
    )


def _section(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    table = [tuple(header), *(tuple(map(str, row)) for row in rows)]
    if len(table) == 1:
        return []
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    shown = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)
    return ["", title, *(f"  {line}" for line in shown)]
