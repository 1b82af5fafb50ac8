"""Outlier: a trade at a price far from those before it."""

from __future__ import annotations

from marketpipeline.alert_kinds import AlertKind, Threshold, Unit
from marketpipeline.topics import Feed

__all__ = ["ALERT"]

ALERT = AlertKind(
    name="outlier",
    title="outlier",
    description="A trade at a price far from those before it.",
    feed=Feed.TRADES,
    momentary=True,
    measured=Unit.RATIO,
    thresholds=(
        Threshold(
            path="outlier",
            unit=Unit.MULTIPLE,
            default=10.0,
            at_most=1000,
            severity="MEDIUM",
            description="Distance of a trade's price from the median of the last 100, as a multiple of their median "
            "absolute deviation; nothing within 50 bps is an outlier.",
        ),
    ),
)
