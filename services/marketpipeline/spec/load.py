"""From YAML text or a plain object to a `MarketPipeline`, or to errors that say where and what."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from marketpipeline.errors import InvalidSpec, Problem
from marketpipeline.schema.units import DURATION_PATTERN, KEPT_PATTERN
from marketpipeline.spec.document import dotted, read_document
from marketpipeline.spec.pipeline import MarketPipeline

__all__ = ["load_file", "load_object", "load_text"]

Location = tuple[int | str, ...]

_FORMS = {
    DURATION_PATTERN: "must be a whole number and its unit, ms, s, m, h or d, e.g. 90s, and at most 99999d",
    KEPT_PATTERN: "must be a whole number and its unit, e.g. 12h or 90d, at most 99999d; or `forever`",
}


def load_file(path: Path) -> MarketPipeline:
    """Read a MarketPipeline from a YAML file. Raises InvalidSpec, also for a file that cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidSpec(
            str(path),
            [Problem("file", str(path), f"must be readable: {error.strerror}")],
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidSpec(
            str(path),
            [Problem("file", str(path), f"must be UTF-8 text: {error.reason}")],
        ) from error
    return load_text(text, str(path))


def load_text(text: str, source: str = "YAML") -> MarketPipeline:
    """Read a MarketPipeline from YAML text; `source` is named in errors. Raises InvalidSpec."""
    data, node = read_document(text, source)
    return load_object(data, source, node)


def load_object(data: Any, source: str = "object", node: yaml.Node | None = None) -> MarketPipeline:
    """Check a plain object, e.g. from the Kubernetes API, as strictly as the API server does.

    A text is not a number there, and null is the same as absent. Raises InvalidSpec with every problem in it.
    """
    if not isinstance(data, dict):
        problem = Problem("file", data, "must be a mapping with apiVersion, kind, metadata and spec")
        raise InvalidSpec(source, [problem])
    try:
        return MarketPipeline.model_validate_json(json.dumps(_without_nulls(data)), strict=True)
    except ValidationError as error:
        problems = [_problem(details, data, node) for details in error.errors(include_url=False)]
        raise InvalidSpec(source, problems) from error


def _without_nulls(data: Any) -> Any:
    """`data` without what is null in a mapping: the API server takes it for absent, an unknown field too."""
    if isinstance(data, dict):
        return {name: _without_nulls(value) for name, value in data.items() if value is not None}
    return [_without_nulls(value) for value in data] if isinstance(data, list) else data


def _problem(details: ErrorDetails, data: object, node: yaml.Node | None) -> Problem:
    location = tuple(part for part in details["loc"] if not str(part).startswith("function-"))
    line, column = _position(node, location)
    value = details["input"] if details["type"] != "missing" else "(absent)"
    return Problem(dotted(location) or "file", value, _expected(details, location), line, column)


def _expected(details: ErrorDetails, location: Location) -> str:
    kind, message = details["type"], details["msg"]
    if kind == "extra_forbidden":
        known = _known_fields(location[:-1])
        nearest = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        return f"unknown field; {hint}known here: {', '.join(known)}"
    if kind == "missing":
        return "is required"
    if kind == "string_pattern_mismatch" and (form := _FORMS.get(details["ctx"]["pattern"])):
        return form
    if kind == "string_pattern_mismatch" and (description := _description(location)):
        return f"has the wrong form; {description}"
    return message.removeprefix("Value error, ").replace("Input should be", "must be")


def _description(location: Location) -> str | None:
    names = [part for part in location if isinstance(part, str)]
    model = _model_at(tuple(names[:-1]))
    if model is None:
        return None
    return next((f.description for n, f in model.model_fields.items() if (f.alias or n) == names[-1]), None)


def _model_at(location: Location) -> type[BaseModel] | None:
    model: type[BaseModel] | None = MarketPipeline
    for part in location:
        if model is None or isinstance(part, int):
            return None
        info = next((f for n, f in model.model_fields.items() if (f.alias or n) == part), None)
        model = _model_of(info) if info else None
    return model


def _model_of(info: FieldInfo) -> type[BaseModel] | None:
    candidates: Sequence[Any] = (info.annotation, *get_args(info.annotation))
    return next(
        (c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)),
        None,
    )


def _known_fields(location: Location) -> list[str]:
    model = _model_at(location)
    if model is None:
        return []
    return sorted((info.alias or name) for name, info in model.model_fields.items() if name != "status")


def _position(node: yaml.Node | None, location: Location) -> tuple[int | None, int | None]:
    """Line and column of the innermost node on the way to `location` that the document has."""
    if node is None:
        return None, None
    mark = node.start_mark
    for part in location:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part], node.value[part])
        if found is None:
            break
        mark, node = found[0].start_mark, found[1]
    return mark.line + 1, mark.column + 1
