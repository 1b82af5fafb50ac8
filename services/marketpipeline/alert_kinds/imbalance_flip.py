"""Imbalance flip: the weight of the book goes from one side to the other within seconds."""

from __future__ import annotations

from marketpipeline.alert_kinds import AlertKind, Threshold, Unit
from marketpipeline.topics import Feed

__all__ = ["ALERT"]

ALERT = AlertKind(
    name="imbalance_flip",
    title="imbalance flip",
    description="The book goes from one extreme side to the other.",
    feed=Feed.BOOK,
    momentary=True,
    measured=Unit.RATIO,
    thresholds=(
        Threshold(
            path="imbalanceFlip",
            unit=Unit.SECONDS,
            default=10.0,
            at_most=300,
            severity="MEDIUM",
            description="Seconds within which an imbalance of `imbalance.medium` turns into one of the other side.",
        ),
    ),
)
