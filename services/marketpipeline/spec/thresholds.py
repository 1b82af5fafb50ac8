"""The spec's `thresholds`: a field for each threshold of each alert, made from the alerts' entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Discriminator, Field, Tag, WithJsonSchema, create_model, model_validator

from marketpipeline.alert_kinds import AlertKind, Threshold, alert_kinds, thresholds
from marketpipeline.schema import Duration, SpecModel, microseconds

__all__ = ["Thresholds"]


class _Thresholds(SpecModel):
    """When an alert fires. A change is in force within seconds, without a restart."""

    if TYPE_CHECKING:
        cooldown: Duration

    overrides: dict[str, SpecModel] = Field(default={})

    def by_name(self, symbol: str | None = None) -> dict[str, float]:
        """Every threshold by the name that it has in records and settings: those of all symbols, or those of one."""
        document = self.model_dump(by_alias=True, exclude={"overrides"})
        if own := self.overrides.get(symbol or ""):
            for name, value in own.model_dump(by_alias=True, exclude_none=True).items():
                whole = document[name]  # a number may become a multiple of what is usual, and the other way round
                document[name] = whole | value if isinstance(whole, dict) and isinstance(value, dict) else value
        found = {"cooldown": microseconds(self.cooldown) / 1_000_000}
        for name, threshold in thresholds().items():
            value = _value(document, threshold.path)
            multiple = value["usual"] if isinstance(value, dict) else 0.0
            found[name] = threshold.default if multiple else float(value)
            if threshold.usual:
                found[threshold.usual_name] = float(multiple)
        return found


class Usual(SpecModel):
    """A multiple of what is usual for the symbol."""

    usual: Annotated[float, Field(gt=0, le=1_000_000)] = Field(description="Multiple of what is usual for the symbol.")


def _value(document: Any, path: str) -> Any:
    for part in path.split("."):
        document = document[part]
    return document


def _type(threshold: Threshold) -> Any:
    """A number, or a multiple of what is usual. Which of them is told by the value; the parts of the type have names
    that no error shows."""
    number = Annotated[float, Field(gt=threshold.above, le=threshold.at_most)]
    if threshold.usual is None:
        return number
    either = Annotated[number, Tag("function-number")] | Annotated[Usual, Tag("function-usual")]
    told = Discriminator(lambda value: f"function-{'usual' if isinstance(value, (dict, Usual)) else 'number'}")
    # Kubernetes knows no union. Any type is let through, but no text has this length, and an object one field.
    schema = {
        "x-kubernetes-preserve-unknown-fields": True,
        "exclusiveMinimum": threshold.above,
        "minLength": 1,
        "maxLength": 0,
        "maxProperties": 1,
        "examples": [threshold.above + 1e-9, threshold.at_most or 1e300, {"usual": 1e-9}, {"usual": 1_000_000}],
    }
    return Annotated[either, told, WithJsonSchema(schema)]


def _field(kind: AlertKind, threshold: Threshold, *, optional: bool) -> tuple[Any, Any]:
    text = threshold.description + ("" if kind.watched else " Not watched yet.")
    if threshold.usual:
        text += f" Or {{usual: N}}, N times {threshold.usual}."
    number = _type(threshold)
    alias = threshold.path.rpartition(".")[2]
    if optional:
        return number | None, Field(default=None, description=text, alias=alias)
    return number, Field(default=threshold.default, description=text, alias=alias)


def _group(name: str, kind: AlertKind, members: Sequence[Threshold], *, optional: bool) -> tuple[Any, Any]:
    """The model of a group, whose values must not descend from the least severe threshold on."""

    def ascending(self: SpecModel) -> SpecModel:
        given = self.model_dump(by_alias=True)
        _check_order({threshold.name: given[threshold.path.rpartition(".")[2]] for threshold in members}, members)
        return self

    fields: Any = {threshold.name: _field(kind, threshold, optional=optional) for threshold in members}
    validators: Any = {"ascending": model_validator(mode="after")(ascending)}
    model: type[SpecModel] = create_model(
        f"{name[0].upper()}{name[1:]}{'Overrides' if optional else 'Thresholds'}",
        __base__=SpecModel,
        __doc__=kind.description,
        __validators__=validators,
        **fields,
    )
    if optional:
        return model | None, Field(default=None, description=kind.description, alias=name)
    return model, Field(default_factory=model, description=kind.description, alias=name)


def _check_order(values: Mapping[str, float | None], members: Sequence[Threshold], where: str = "thresholds") -> None:
    for lower, higher in pairwise(members):
        low, high = values[lower.name], values[higher.name]
        if low is not None and high is not None and low > high:
            raise ValueError(f"{where}.{lower.path} ({low}) must be at most {where}.{higher.path} ({high})")


def _fields(*, optional: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for kind in alert_kinds().values():
        for name, members in groupby(kind.thresholds, key=lambda threshold: threshold.group):
            if name is None:
                fields |= {threshold.name: _field(kind, threshold, optional=optional) for threshold in members}
            else:
                fields[name] = _group(name, kind, list(members), optional=optional)
    return fields


def _overrides_in_order(self: _Thresholds) -> _Thresholds:
    """What a symbol has of its own must not descend either, taken together with what holds for all."""
    for symbol in self.overrides:
        values = self.by_name(symbol)
        for kind in alert_kinds().values():
            for name, members in groupby(kind.thresholds, key=lambda threshold: threshold.group):
                if name is not None:
                    _check_order(values, list(members), f"thresholds.overrides[{symbol}]")
    return self


def _model() -> type[_Thresholds]:
    cooldown = Field(
        default="60s",
        description="The least time, by the exchange's clock, between two messages about one alert that goes on. It "
        "is told when it opens, when it becomes more severe, again after this time, and when it closes.",
    )
    doc = "Thresholds of one symbol; what is absent is as for all."
    own: Any = create_model("ThresholdOverrides", __base__=SpecModel, __doc__=doc, **_fields(optional=True))
    overrides: Any = Field(
        default={},
        max_length=1000,
        description="Thresholds of single symbols by their names, exchange:SYMBOL, where they differ from the others.",
    )
    validators: Any = {"overrides_in_order": model_validator(mode="after")(_overrides_in_order)}
    model: type[_Thresholds] = create_model(
        "Thresholds",
        __base__=_Thresholds,
        __doc__=_Thresholds.__doc__,
        __validators__=validators,
        **_fields(optional=False),
        cooldown=(Duration, cooldown),
        overrides=(dict[str, own], overrides),
    )
    return model


if TYPE_CHECKING:
    Thresholds = _Thresholds
else:
    Thresholds = _model()
