"""The spec's `thresholds`: a field for each threshold of each alert, made from the alerts' entries."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model, model_validator

from marketpipeline.alert_kinds import AlertKind, Threshold, alert_kinds, thresholds
from marketpipeline.schema import Duration, SpecModel

__all__ = ["Thresholds"]


class _Thresholds(SpecModel):
    """When an alert fires. A change is in force within seconds, without a restart."""

    def by_name(self) -> dict[str, float]:
        """Every threshold by the name that it has in records and settings."""
        document = self.model_dump(by_alias=True)
        return {name: _value(document, threshold.path) for name, threshold in thresholds().items()}


def _value(document: Any, path: str) -> float:
    for part in path.split("."):
        document = document[part]
    return float(document)


def _field(kind: AlertKind, threshold: Threshold) -> tuple[Any, Any]:
    text = threshold.description + ("" if kind.watched else " Not watched yet.")
    bounds = Field(gt=threshold.above, le=threshold.at_most)
    return Annotated[float, bounds], Field(
        default=threshold.default, description=text, alias=threshold.path.rpartition(".")[2]
    )


def _group(name: str, kind: AlertKind, members: Sequence[Threshold]) -> tuple[Any, Any]:
    """The model of a group, whose values must not descend from the least severe threshold on."""

    def ascending(self: SpecModel) -> SpecModel:
        for lower, higher in pairwise(members):
            low, high = (_value(self.model_dump(by_alias=True), t.path.rpartition(".")[2]) for t in (lower, higher))
            if low > high:
                raise ValueError(f"thresholds.{lower.path} ({low}) must be at most thresholds.{higher.path} ({high})")
        return self

    fields: Any = {threshold.name: _field(kind, threshold) for threshold in members}
    validators: Any = {"ascending": model_validator(mode="after")(ascending)}
    model: type[SpecModel] = create_model(
        f"{name[0].upper()}{name[1:]}Thresholds",
        __base__=SpecModel,
        __doc__=kind.description,
        __validators__=validators,
        **fields,
    )
    return model, Field(default_factory=model, description=kind.description, alias=name)


def _model() -> type[_Thresholds]:
    fields: dict[str, Any] = {}
    for kind in alert_kinds().values():
        for name, members in groupby(kind.thresholds, key=lambda threshold: threshold.group):
            if name is None:
                fields |= {threshold.name: _field(kind, threshold) for threshold in members}
            else:
                fields[name] = _group(name, kind, list(members))
    cooldown = Field(
        default="60s",
        description="The least time between two messages about one alert that stays open. No alert of this version "
        "repeats itself: each is told when it opens, when it becomes more or less severe, and when it closes.",
    )
    model: type[_Thresholds] = create_model(
        "Thresholds", __base__=_Thresholds, __doc__=_Thresholds.__doc__, **fields, cooldown=(Duration, cooldown)
    )
    return model


if TYPE_CHECKING:
    Thresholds = _Thresholds
else:
    Thresholds = _model()
