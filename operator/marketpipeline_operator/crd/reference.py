"""The reference of the resource for people, from the same schema that the API server checks by."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from marketpipeline_operator.crd.definition import custom_resource_definition

__all__ = ["reference_markdown"]

Schema = dict[str, Any]

_HEAD = """<!-- Generated from marketpipeline.spec by `make generate`; do not edit. -->
# MarketPipeline

Every field of the resource, with what is right for it and its default. `kubectl explain marketpipeline.spec` says the
same on a cluster. Only `spec.symbols` has to be given.
"""
_TOLD = re.compile(r"( (One|Any) of: [^.]*\.)?( Default: .*\.)?$")
_NOT_SHOWN = frozenset({"pods", "pod"})
"""One block at many places: shown once, below `spec.pods`."""


def reference_markdown() -> str:
    """The whole page: a section for each block of the spec."""
    version = custom_resource_definition()["spec"]["versions"][0]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    parts = [_HEAD, _section("spec", _leaves_of(spec, "spec"))]
    for name, block in spec["properties"].items():
        if "properties" in block:
            parts.append(_section(f"spec.{name}", _rows(block, f"spec.{name}"), block.get("description", "")))
    return "\n".join(parts)


def _section(title: str, rows: Iterator[str], text: str = "") -> str:
    lines = ["| field | right are | default | |", "|---|---|---|---|", *rows]
    return f"## {title}\n\n{text}\n\n".replace("\n\n\n", "\n") + "\n".join(lines) + "\n"


def _leaves_of(block: Schema, path: str) -> Iterator[str]:
    """The fields of a block that are no blocks themselves."""
    for name, field in block["properties"].items():
        if "properties" not in field:
            yield _row(f"{path}.{name}", field, name in block.get("required", []))


def _rows(block: Schema, path: str) -> Iterator[str]:
    """The fields of a block and of all below it."""
    for name, field in block["properties"].items():
        here = f"{path}.{name}"
        if "properties" in field and name in _NOT_SHOWN:
            yield f"| `{here}` | as `spec.pods` | | {_text(field)} |"
        elif "properties" in field:
            yield from _rows(field, here)
        else:
            yield _row(here, field, name in block.get("required", []))
            yield from _inner(field, here)


def _inner(field: Schema, here: str) -> Iterator[str]:
    """The fields of what a list or a map holds."""
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        inner = field.get(key)
        if isinstance(inner, dict) and "properties" in inner:
            yield from _rows(inner, here + mark)


def _row(path: str, field: Schema, required: bool) -> str:
    default = "**required**" if required else f"`{json.dumps(field['default'])}`" if "default" in field else ""
    return f"| `{path}` | {_kind(field)} | {default} | {_text(field)} |"


def _kind(field: Schema) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    kind = field.get("type", "number or map")
    if kind == "array":
        return f"list of {_kind(field['items'])}"
    if kind == "object":
        return "map" if "additionalProperties" not in field else f"map of {_kind(field['additionalProperties'])}"
    if field.get("x-kubernetes-int-or-string"):
        return "number or text"
    bounds = [f"{word} {field[key]:g}" for word, key in (("from", "minimum"), ("to", "maximum")) if key in field]
    return f"{kind}, {' '.join(bounds)}" if bounds else str(kind)


def _text(field: Schema) -> str:
    """The description without what stands in the other columns."""
    text = " ".join(field.get("description", "").split())
    return _TOLD.sub("", text).replace("|", "\\|")
