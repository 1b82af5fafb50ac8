"""Extreme imbalance of the order book: for as long as one side weighs far more than the other."""

from __future__ import annotations

from marketpipeline.alert_kinds import AlertKind, Threshold, Unit
from marketpipeline.topics import Feed

__all__ = ["ALERT"]

ALERT = AlertKind(
    name="extreme_imbalance",
    title="extreme imbalance",
    description="Extreme imbalance of the order book.",
    feed=Feed.BOOK,
    thresholds=(
        Threshold(
            path="imbalance.medium",
            unit=Unit.RATIO,
            default=0.5,
            at_most=1,
            severity="MEDIUM",
            description="Absolute imbalance ratio (0 to 1) from which an alert of severity MEDIUM is open.",
        ),
        Threshold(
            path="imbalance.high",
            unit=Unit.RATIO,
            default=0.7,
            at_most=1,
            severity="HIGH",
            description="Absolute imbalance ratio (0 to 1) from which the severity is HIGH; at least `medium`.",
        ),
    ),
)
