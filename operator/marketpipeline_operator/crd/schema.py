"""From the spec's pydantic models to a structural OpenAPI schema, as a CustomResourceDefinition needs it.

pydantic's JSON schema is not structural: it has references, unions with null, titles, numeric exclusive bounds. And
it does not say what a reader of `kubectl explain` wants in the description: the default and the choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

__all__ = ["Schema", "structural"]

Schema = dict[str, Any]

_KEPT = (
    "type", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "maxProperties",
    "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-preserve-unknown-fields",
)  # fmt: skip


def structural(model: type[BaseModel]) -> Schema:
    """The schema of `model` by its aliases, with defaults in the schema and in the descriptions."""
    document = model.model_json_schema(by_alias=True, mode="validation")
    return _object(model, document, document.get("$defs", {}))


def _object(model: type[BaseModel], source: Schema, definitions: Mapping[str, Schema]) -> Schema:
    properties = {}
    for name, field in model.model_fields.items():
        alias = field.alias or name
        properties[alias] = _property(field, source["properties"][alias], definitions)
    result: Schema = {"type": "object", "description": (model.__doc__ or "").strip(), "properties": properties}
    required = [field.alias or name for name, field in model.model_fields.items() if field.is_required()]
    return result | ({"required": required} if required else {})


def _property(field: FieldInfo, source: Schema, definitions: Mapping[str, Schema]) -> Schema:
    nested = _model_in(field.annotation)
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    if nested is not None and "properties" in (resolved := _resolve(source, definitions)):
        result = _object(nested, resolved, definitions)
        if isinstance(default, BaseModel):
            result["default"] = _plain(default.model_dump(mode="json", by_alias=True, exclude_none=True))
    else:
        result = _value(source, definitions)
        for place, part in _models_within(field.annotation):
            result[place] = _object(part, _resolve(source[place], definitions), definitions)
        if default is not None:
            result["default"] = _plain(default)
    result["description"] = _description(field.description or "", result)
    return dict(sorted(result.items(), key=lambda entry: entry[0] != "description"))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, also when it may be absent; None for lists and scalars."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
    return None


def _models_within(annotation: Any) -> list[tuple[str, type[BaseModel]]]:
    """The models that a mapping or a list holds, with the place of their schema in the one around."""
    places = {dict: "additionalProperties", list: "items"}
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _models_within(arguments[0])
    found = _model_in(arguments[-1]) if origin in places else None
    return [(places[origin], found)] if found and origin else []


def _resolve(source: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """`source` without a reference and without the alternative null; an absent field says the same."""
    if "$ref" in source:
        return dict(definitions[source["$ref"].rpartition("/")[2]])
    if "anyOf" in source:
        return _resolve(next(part for part in source["anyOf"] if part.get("type") != "null"), definitions)
    return source


def _value(source: Schema, definitions: Mapping[str, Schema]) -> Schema:
    resolved = _resolve(source, definitions)
    result = {key: resolved[key] for key in _KEPT if key in resolved}
    for bound in ("Minimum", "Maximum"):
        if (value := resolved.get(f"exclusive{bound}")) is not None:
            result |= {bound.lower(): value, f"exclusive{bound}": True}
    if "items" in resolved:
        result["items"] = _value(resolved["items"], definitions)
    if isinstance(resolved.get("additionalProperties"), dict):
        result["additionalProperties"] = _value(resolved["additionalProperties"], definitions)
    return result


def _plain(value: Any) -> Any:
    """A default in JSON's terms; whole floats as integers, as the API server would store them anyway."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return getattr(value, "value", value)


def _description(text: str, schema: Schema) -> str:
    parts = [text if text.endswith(".") else f"{text}."]
    choices = schema.get("enum") or schema.get("items", {}).get("enum")
    if choices:
        parts.append(f"One of: {', '.join(choices)}." if "enum" in schema else f"Any of: {', '.join(choices)}.")
    if "default" in schema and schema.get("type") != "object":
        parts.append(f"Default: {_shown(schema['default']) or 'none'}.")
    return " ".join(parts)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
