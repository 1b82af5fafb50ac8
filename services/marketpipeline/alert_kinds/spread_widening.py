"""Spread widening: a spread far above what is normal for the symbol."""

from __future__ import annotations

from marketpipeline.alert_kinds import AlertKind, Threshold, Unit
from marketpipeline.topics import Feed

__all__ = ["ALERT"]

ALERT = AlertKind(
    name="spread_widening",
    title="spread widening",
    description="A spread far above what is normal for the symbol.",
    feed=Feed.BOOK,
    thresholds=(
        Threshold(
            path="spreadWidening",
            unit=Unit.MULTIPLE,
            default=2.0,
            above=1,
            at_most=1000,
            severity="MEDIUM",
            description="Spread as a multiple of the symbol's normal spread (median of 5 minutes).",
        ),
    ),
)
