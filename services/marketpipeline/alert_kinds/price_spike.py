"""Price spike: the price moves far within one minute."""

from __future__ import annotations

from marketpipeline.alert_kinds import AlertKind, Threshold, Unit
from marketpipeline.topics import Feed

__all__ = ["ALERT"]

ALERT = AlertKind(
    name="price_spike",
    title="price spike",
    description="The price moves far within one minute.",
    feed=Feed.TRADES,
    thresholds=(
        Threshold(
            path="priceSpike",
            unit=Unit.RATIO,
            default=0.02,
            at_most=1,
            severity="HIGH",
            description="Absolute price change within one minute, as a ratio (0.02 is 2 %).",
        ),
    ),
)
