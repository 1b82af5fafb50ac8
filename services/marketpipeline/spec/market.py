"""What is measured: depth and windows."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from marketpipeline.schema import SpecModel

__all__ = ["BookSource", "Depth", "Window"]


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
        description="Distance from the mid price, in basis points, within which the depth in quote units is summed; "
        "null when the known levels do not reach that far.",
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


Window = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d"]
"""A candle's interval; windows are aligned to the epoch, UTC."""
