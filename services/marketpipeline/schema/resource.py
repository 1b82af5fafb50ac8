"""What the parts of a MarketPipeline are made of: camelCase in YAML, snake_case in Python, unknown fields refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from marketpipeline.schema.units import Cpu, Memory

__all__ = ["Name", "Resources", "SecretKey", "SecretKeyName", "SpecModel"]

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
"""The name of a Kubernetes object."""

SecretKeyName = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]
"""A key within a Secret."""


class SpecModel(BaseModel):
    """A part of a MarketPipeline: immutable, so that a spec can be compared and hashed by its JSON."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=False,
        allow_inf_nan=False,
    )


class SecretKey(SpecModel):
    """A key of a Secret in the pipeline's namespace; only the reference is ever in a spec."""

    name: Name = Field(description="Name of the Secret.")
    key: SecretKeyName = Field(default="password", description="Key within the Secret.")


class Resources(SpecModel):
    """Compute of one container: requested, and with twice the CPU and the same memory as the limit."""

    cpu: Cpu = Field(default="250m", description="CPU in cores, or in thousandths with `m`: 2, 0.5 or 500m.")
    memory: Memory = Field(default="256Mi", description="Memory with its unit, or in bytes: 512Mi, 512M or 1e9.")
