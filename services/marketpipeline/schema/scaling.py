"""How many processes of a part there may be, and by what that is decided, where an operator scales it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from marketpipeline.schema.resource import SpecModel
from marketpipeline.schema.units import Duration

__all__ = ["SCALING_ORDER", "IngestionScaling", "JobScaling", "Scaling", "SinkScaling"]

SCALING_ORDER = "scaling.min must be at most scaling.max"


class Scaling(SpecModel):
    """Bounds and cool-down; each part adds its own `target`. One machine runs what `replicas` says."""

    min: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="Fewest processes.")
    max: Annotated[int, Field(ge=1, le=64)] = Field(default=8, description="Most processes.")
    cool_down: Duration = Field(
        default="5m",
        description="How long fewer processes have to be enough before their number goes down. Up it goes at once.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(SCALING_ORDER)
        return self


class IngestionScaling(Scaling):
    """By what the exchanges send."""

    target: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=5_000, description="Frames a second that one process shall read."
    )


class SinkScaling(Scaling):
    """By how far the sink is behind."""

    target: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        default=10_000, description="Records that one process may be behind. More processes than partitions do nothing."
    )


class JobScaling(Scaling):
    """By how busy the job's busiest task is."""

    target: Annotated[float, Field(ge=0.1, le=0.95)] = Field(
        default=0.7, description="Share of the time that a task shall be busy."
    )
    cool_down: Duration = Field(
        default="15m",
        description="How long fewer tasks have to be enough before their number goes down. Each change is a savepoint "
        "and a start of the job.",
    )
