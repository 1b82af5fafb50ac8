"""An alert of trades of a large quantity."""

from __future__ import annotations

from marketpipeline.alert_kinds import AlertKind, Threshold, Unit
from marketpipeline.topics import Feed

__all__ = ["ALERT"]

ALERT = AlertKind(
    name="block_trade",
    title="block trade",
    description="A single trade of a large quantity.",
    feed=Feed.TRADES,
    momentary=True,
    thresholds=(
        Threshold(
            path="blockTrade.large",
            unit=Unit.BASE,
            default=50.0,
            severity="MEDIUM",
            description="Quantity of a single trade, in base units, above which it is a block trade.",
        ),
        Threshold(
            path="blockTrade.huge",
            unit=Unit.BASE,
            default=500.0,
            at_most=1e6,
            severity="HIGH",
            description="Quantity above which its severity is HIGH; at least `large`.",
        ),
    ),
    sql="toys.block_trade.sql:script",
)
