"""The CustomResourceDefinition, generated from the spec's models: `make generate`."""

from __future__ import annotations

from marketpipeline_operator.crd.definition import (
    GROUP,
    NAME,
    PLURAL,
    VERSION,
    custom_resource_definition,
    custom_resource_definition_yaml,
)
from marketpipeline_operator.crd.reference import reference_markdown

__all__ = [
    "GROUP",
    "NAME",
    "PLURAL",
    "VERSION",
    "custom_resource_definition",
    "custom_resource_definition_yaml",
    "reference_markdown",
]
