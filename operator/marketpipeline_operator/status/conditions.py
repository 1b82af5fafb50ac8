"""Conditions: what holds of a pipeline, with the time since when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from marketpipeline_operator.names import Object

__all__ = ["Condition", "as_objects", "find", "holds"]

_LONGEST = 2_000


@dataclass(frozen=True)
class Condition:
    """One aspect; `status` None is Unknown."""

    type: str
    status: bool | None
    reason: str
    message: str = ""


def as_objects(wanted: Iterable[Condition], before: Sequence[Object], generation: int, now: str) -> list[Object]:
    """Conditions as the API has them; the time of one whose status did not change stays."""
    known = {entry["type"]: entry for entry in before}
    found = []
    for condition in wanted:
        status = "Unknown" if condition.status is None else str(condition.status)
        old = known.get(condition.type, {})
        found.append(
            {
                "type": condition.type,
                "status": status,
                "reason": condition.reason,
                "message": condition.message[:_LONGEST],
                "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == status else now,
                "observedGeneration": generation,
            }
        )
    return found


def find(pipeline: Object, kind: str) -> Object:
    """A condition of a pipeline's object, empty where it has none."""
    conditions = pipeline.get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == kind), {})


def holds(pipeline: Object, kind: str) -> bool:
    """Whether a condition of a pipeline's object is True."""
    return bool(find(pipeline, kind).get("status") == "True")
