"""What is measured: depth, thresholds, feeds and windows."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from marketpipeline.schema import Duration, SpecModel

__all__ = ["BookSource", "Depth", "ImbalanceThresholds", "Thresholds", "Window"]


class BookSource(StrEnum):
    """How the order book is followed."""

    DIFF = "diff"
    PARTIAL = "partial"


class Depth(SpecModel):
    """How much of the order book is kept and measured."""

    levels: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=20,
        description="Price levels of each side that are sent on with every book event.",
    )
    calculate: Annotated[int, Field(ge=1, le=100)] = Field(
        default=10,
        description="Price levels of each side that ratios are computed over; at most `levels`.",
    )
    within_bps: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=10.0,
        description="Distance from the mid price, in basis points, within which the depth in quote units is summed.",
    )
    source: BookSource = Field(
        default=BookSource.DIFF,
        description=(
            "`diff` keeps a full local book from every change and a snapshot (no event is missed unnoticed); "
            "`partial` takes the exchange's own top levels (cheaper, and limited to the depths that it offers)."
        ),
    )

    @model_validator(mode="after")
    def _calculate_within_levels(self) -> Depth:
        if self.calculate > self.levels:
            raise ValueError(f"depth.calculate ({self.calculate}) must be at most depth.levels ({self.levels})")
        return self


class ImbalanceThresholds(SpecModel):
    """Limits of the absolute imbalance ratio."""

    medium: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5,
        description="Absolute imbalance ratio (0 to 1) from which an alert of severity MEDIUM is open.",
    )
    high: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.7,
        description="Absolute imbalance ratio (0 to 1) from which the severity is HIGH; at least `medium`.",
    )

    @model_validator(mode="after")
    def _medium_below_high(self) -> ImbalanceThresholds:
        if self.medium > self.high:
            raise ValueError(
                f"thresholds.imbalance.medium ({self.medium}) must be at most thresholds.imbalance.high ({self.high})"
            )
        return self


class Thresholds(SpecModel):
    """When an alert fires. A change is in force within seconds, without a restart."""

    imbalance: ImbalanceThresholds = Field(
        default_factory=ImbalanceThresholds,
        description="Extreme imbalance of the order book.",
    )
    spread_widening: Annotated[float, Field(gt=1, le=1000)] = Field(
        default=2.0,
        description="Spread as a multiple of the symbol's normal spread (median of 5 minutes). Not watched yet.",
    )
    price_spike: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.02,
        description="Absolute price change within one minute, as a ratio (0.02 is 2 %). Not watched yet.",
    )
    whale_trade: Annotated[float, Field(gt=0)] = Field(
        default=100_000.0,
        description="Value of a single trade, in quote units, above which it is a whale trade.",
    )
    volume_spike: Annotated[float, Field(gt=0)] = Field(
        default=1_000_000.0,
        description="Quote volume of a one-minute window above which it is a volume spike. Not watched yet.",
    )
    cooldown: Duration = Field(
        default="60s",
        description="The least time between two messages about one alert that stays open. No alert of this version "
        "repeats itself: each is told when it opens, when it becomes more or less severe, and when it closes.",
    )


Window = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d"]
"""A candle's interval; windows are aligned to the epoch, UTC."""
