"""What the values of both charts are made of: names as helm's users write them, and nothing that is not among them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from marketpipeline.spec import PipelineSpec
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

__all__ = [
    "Amounts",
    "Interval",
    "Label",
    "OptionalDigest",
    "OptionalName",
    "OptionalTag",
    "Port",
    "PullPolicy",
    "Text",
    "ValuesModel",
    "Variable",
    "example_symbols",
]

Text = Annotated[str, StringConstraints(min_length=1)]
Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
OptionalName = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?)?$")]
OptionalDigest = Annotated[str, StringConstraints(pattern=r"^(sha256:[0-9a-f]{64})?$")]
OptionalTag = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_][-.A-Za-z0-9_]{0,127})?$")]
Interval = Annotated[str, StringConstraints(pattern=r"^([0-9]+(ms|s|m|h))+$")]
Port = Annotated[int, Field(ge=1, le=65535)]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]
Amounts = dict[str, str | int | float]


class ValuesModel(BaseModel):
    """Base of every group of values."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Variable(ValuesModel):
    """An environment variable, as a container has it."""

    name: Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")]
    value: str | None = None
    value_from: dict[str, Any] | None = None


def example_symbols() -> list[str]:
    """The symbols that the spec itself has for an example."""
    (found,) = PipelineSpec.model_fields["symbols"].examples or [[]]
    return list(found)
