"""Volume spike: much is traded within one minute."""

from __future__ import annotations

from marketpipeline.alert_kinds import AlertKind, Threshold, Unit
from marketpipeline.topics import Feed

__all__ = ["ALERT"]

ALERT = AlertKind(
    name="volume_spike",
    title="volume spike",
    description="Much is traded within one minute.",
    feed=Feed.TRADES,
    thresholds=(
        Threshold(
            path="volumeSpike",
            unit=Unit.QUOTE,
            default=1_000_000.0,
            severity="MEDIUM",
            usual="the median of the symbol's last 30 such windows",
            description="Quote volume of a one-minute window above which it is a volume spike.",
        ),
    ),
)
