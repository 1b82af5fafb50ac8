"""Whale trade: a single trade of great value."""

from __future__ import annotations

from marketpipeline.alert_kinds import AlertKind, Threshold, Unit
from marketpipeline.topics import Feed

__all__ = ["ALERT"]

ALERT = AlertKind(
    name="whale_trade",
    title="whale trade",
    description="A single trade of great value.",
    feed=Feed.TRADES,
    momentary=True,
    thresholds=(
        Threshold(
            path="whaleTrade",
            unit=Unit.QUOTE,
            default=100_000.0,
            severity="MEDIUM",
            usual="the median value of the symbol's last 100 trades",
            description="Value of a single trade, in quote units, above which it is a whale trade.",
        ),
    ),
)
