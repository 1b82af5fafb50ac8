"""What the parts of a MarketPipeline are made of: camelCase in YAML, snake_case in Python, unknown fields refused."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

__all__ = ["Name", "Resources", "SecretKey", "SpecModel", "Url"]

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
"""The name of a Kubernetes object."""

Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi|Ti)?$", max_length=20)]


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
    key: Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)] = Field(
        default="password", description="Key within the Secret."
    )


class Resources(SpecModel):
    """Compute of one container: requested, and with twice the CPU and the same memory as the limit."""

    cpu: Quantity = Field(default="250m", description="CPU in cores, or in thousandths with `m`.")
    memory: Quantity = Field(default="256Mi", description="Memory in bytes, or with Ki, Mi, Gi.")


class Url:
    """An annotation: the text is a URL of one of these schemes, and holds no password.

    The rules of the CustomResourceDefinition are made from it too, so that the API server refuses the same.
    """

    def __init__(self, *schemes: str) -> None:
        self.schemes = schemes

    def check(self, url: str) -> str:
        """The URL as it is. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in self.schemes:
            raise ValueError(f"must be a URL that starts with {':// or '.join(self.schemes)}://")
        if parts.password or any(name in ("password", "passfile", "sslpassword") for name, _ in parse_qsl(parts.query)):
            raise ValueError("must not contain a password; put it in a Secret and name that in passwordSecret")
        return url

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))
