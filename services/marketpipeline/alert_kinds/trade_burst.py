"""Trade burst: far more trades within one minute than usual."""

from __future__ import annotations

from marketpipeline.alert_kinds import AlertKind, Threshold, Unit
from marketpipeline.topics import Feed

__all__ = ["ALERT"]

ALERT = AlertKind(
    name="trade_burst",
    title="trade burst",
    description="Far more trades than usual within one minute.",
    feed=Feed.TRADES,
    measured=Unit.COUNT,
    thresholds=(
        Threshold(
            path="tradeBurst",
            unit=Unit.MULTIPLE,
            default=5.0,
            above=1,
            at_most=1000,
            severity="MEDIUM",
            description="Trades of a one-minute window as a multiple of the median of the last 30 such windows.",
        ),
    ),
)
