"""The OpenAPI document, put right where the framework's own says what this API does not do."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

__all__ = ["document"]

_JSON, _PROBLEM = "application/json", "application/problem+json"


def document(app: FastAPI) -> None:
    """Problems are told as `application/problem+json` only, and the framework's own validation error never is."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = generate()
            for path in found["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)
                    for response in operation["responses"].values():
                        _only_problem(response.get("content", {}))
            for name in ("HTTPValidationError", "ValidationError"):
                found["components"]["schemas"].pop(name, None)
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # the framework's documented way to change it


def _only_problem(content: dict[str, Any]) -> None:
    schema = content.get(_JSON, {}).get("schema", {})
    if schema.get("$ref", "").endswith("/ProblemDetails"):
        content[_PROBLEM] = content.pop(_JSON)
