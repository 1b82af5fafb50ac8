"""The spec's `patterns`: sequences of alerts that are alerts of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from marketpipeline.alert_kinds import Severity, watched_alerts
from marketpipeline.schema import Duration, SpecModel, microseconds

__all__ = ["LONGEST", "Pattern", "patterns_text", "sequence_name"]

LONGEST = "10m"
"""The longest `within`: the stream job remembers alerts for so long."""


def sequence_name(rule: str) -> str:
    """The name of an alert in a sequence: `whaleTrade` for the rule `whale_trade`."""
    first, *rest = rule.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _short_enough(within: str) -> str:
    if not 0 < microseconds(within) <= microseconds(LONGEST):
        raise ValueError(f"must be above 0 and at most {LONGEST}")
    return within


if TYPE_CHECKING:
    AlertName = str
else:
    AlertName = Literal[tuple(map(sequence_name, watched_alerts()))]


class Pattern(SpecModel):
    """Alerts that follow one another on one symbol; told once for each alert that begins a sequence."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)] = Field(
        description="Name of the pattern, the rule of its alerts: a to z, 0 to 9 and _, a letter first."
    )
    sequence: Annotated[list[AlertName], Field(min_length=2, max_length=8)] = Field(
        description="The alerts in the order in which they open."
    )
    within: Annotated[Duration, AfterValidator(_short_enough)] = Field(
        default="30s", description=f"The longest time from the first to the last of them, at most {LONGEST}."
    )
    severity: Severity = Field(default="HIGH", description="Severity of the alert.")


def patterns_text(patterns: Iterable[Pattern]) -> str:
    """Patterns as the records of thresholds have them: `name|severity|microseconds|rule,rule`, joined by `;`."""
    rules: dict[Any, str] = {sequence_name(rule): rule for rule in watched_alerts()}
    return ";".join(
        "|".join(
            (one.name, one.severity, str(microseconds(one.within)), ",".join(rules[name] for name in one.sequence))
        )
        for one in patterns
    )
