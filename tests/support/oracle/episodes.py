"""An alert that stays true is one alert: opened once, told again at most every cooldown, closed once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

__all__ = ["SECOND", "Step", "Told", "episodes", "momentary"]

SECOND = 1_000_000
SEVERITIES = ("", "MEDIUM", "HIGH")


@dataclass(frozen=True)
class Told:
    """One record of an alert; times in microseconds. `extreme` is the furthest value since the start."""

    rule: str
    status: str
    severity: str
    side: str
    started_at: int
    ended_at: int | None
    event_time: int
    value: Decimal
    extreme: Decimal
    threshold: Decimal
    trade_id: int | None = None


@dataclass(frozen=True)
class Step:
    """What one event says of a rule: its severity `level`, 1 MEDIUM and 2 HIGH, or 0 where the rule is not true.

    `limits` are the thresholds of the two levels. An alert that opens with this step has begun at `since`, and has
    reached `extreme` since then, where these are not the step's own time and value.
    """

    time: int
    side: str
    value: Decimal
    level: int
    limits: tuple[Decimal, Decimal]
    since: int | None = None
    extreme: Decimal | None = None


def episodes(
    rule: str, steps: Iterable[Step], cooldown: int, furthest: Callable[[Decimal, Decimal], Decimal]
) -> list[Told]:
    """Everything that is told of a rule, in order. `furthest` chooses the more extreme of two values."""
    found: list[Told] = []
    extreme: Decimal | None = None
    reached = 0
    for step in steps:
        if extreme is None:
            if step.level:
                reached, extreme = step.level, step.value if step.extreme is None else step.extreme
                found.append(_told(rule, "open", step, step.since or step.time, extreme, reached))
            continue
        before = found[-1]
        if not step.level:
            found.append(_told(rule, "closed", step, before.started_at, extreme, reached))
            extreme = None
            continue
        extreme = furthest(extreme, step.value)
        escalates, reached = step.level > reached, max(reached, step.level)
        if escalates or step.time >= before.event_time + cooldown:
            status = "escalated" if escalates else before.status
            found.append(_told(rule, status, step, before.started_at, extreme, reached))
    return found


def _told(rule: str, status: str, step: Step, started_at: int, extreme: Decimal, level: int) -> Told:
    ended_at, severity, limit = step.time if status == "closed" else None, SEVERITIES[level], step.limits[level - 1]
    return Told(rule, status, severity, step.side, started_at, ended_at, step.time, step.value, extreme, limit)


def momentary(rule: str, step: Step, trade_id: int | None = None) -> list[Told]:
    """An alert that is open and closed in the same moment."""
    told = _told(rule, "open", step, step.time, step.value, step.level)
    told = replace(told, trade_id=trade_id)
    return [told, replace(told, status="closed", ended_at=step.time)]
