"""Liquidity stress: for more than two seconds a side of the book is far thinner than usual."""

from __future__ import annotations

from marketpipeline.alert_kinds import AlertKind, Threshold, Unit
from marketpipeline.topics import Feed

__all__ = ["ALERT"]

ALERT = AlertKind(
    name="liquidity_stress",
    title="liquidity stress",
    description="A side of the book is far thinner than usual.",
    feed=Feed.BOOK,
    thresholds=(
        Threshold(
            path="liquidityStress",
            unit=Unit.RATIO,
            default=0.3,
            at_most=1,
            severity="MEDIUM",
            description="Depth of a side within `depth.withinBps` as a ratio of its normal (median of 5 minutes), "
            "below which it is under stress after 2 s; HIGH below half of it. Not judged where `depth.levels` "
            "end before.",
        ),
    ),
)
