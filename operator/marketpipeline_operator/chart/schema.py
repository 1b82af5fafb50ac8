"""values.schema.json: helm refuses a value that is misspelt or wrong, and names it."""

from __future__ import annotations

import json
from typing import Any

from marketpipeline_operator.chart.values import Values

__all__ = ["values_schema_json"]

Schema = dict[str, Any]
_AS_THEY_ARE = ("$defs", "$ref", "default", "enum", "properties", "title")


def values_schema_json() -> str:
    """The schema without references, as helm's messages then name the value and not a definition."""
    document = Values.model_json_schema(by_alias=True)
    schema = _inlined(document, document["$defs"])
    # Given by helm itself to a chart that is part of another.
    schema["properties"]["global"] = {"type": "object"}
    return json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", **schema}, indent=1, ensure_ascii=False)


def _inlined(schema: Any, definitions: Schema) -> Any:
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        found = definitions[schema["$ref"].rpartition("/")[2]]
        schema = {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
    found = {key: _inlined(value, definitions) for key, value in schema.items() if key not in _AS_THEY_ARE}
    found |= {key: schema[key] for key in ("default", "enum") if key in schema}
    if "properties" in schema:
        found["properties"] = {name: _inlined(part, definitions) for name, part in schema["properties"].items()}
    if "enum" in (names := found.pop("propertyNames", {})):
        # helm's message on a wrong key of a mapping would not say which mapping.
        found["properties"] = dict.fromkeys(names["enum"], found["additionalProperties"])
        found["additionalProperties"] = False
    return found
