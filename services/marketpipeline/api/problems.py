"""Errors as RFC 9457 problems: what is wrong, where, and what would be right; never a stack trace."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Response, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.routing import APIRoute, APIWebSocketRoute
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketState

from marketpipeline.errors import RetryableError
from marketpipeline.readers import NotKept
from marketpipeline.readers.asking import nearest

__all__ = ["MEDIA_TYPE", "ProblemDetails", "install", "problem", "responses", "schemas"]

_log = logging.getLogger(__name__)

_Handler = Callable[[HTTPConnection, Any], Awaitable[Response]]

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 2
"""Seconds, unless the store asks for more."""


class Finding(BaseModel):
    """One thing that is wrong in a request."""

    field: str = Field(description="Name of the parameter.", examples=["symbol"])
    value: Any = Field(description="What was given.", examples=["BTCUSD"])
    expected: str = Field(
        description="What would be right.",
        examples=["unknown symbol; did you mean BTCUSDT? There are: binance:BTCUSDT, binance:ETHUSDT"],
    )


class ProblemDetails(BaseModel):
    """The body of every answer that is not a success, as `application/problem+json`."""

    type: str = Field(description="Kind of the problem.", examples=["about:blank"])
    title: str = Field(description="The kind in words.", examples=["Bad Request"])
    status: int = Field(description="HTTP status.", examples=[400])
    detail: str = Field(description="What happened.", examples=["1 parameter is wrong: symbol"])
    instance: str = Field(description="The path asked for.", examples=["/api/v1/analytics/klines/BTCUSD"])
    problems: list[Finding] = Field(default_factory=list, description="Every finding of a wrong request.")


_SCHEMA = "#/components/schemas/{model}"
_WORDS = {
    HTTPStatus.BAD_REQUEST: "A parameter is wrong; the body names each, and what would be right.",
    HTTPStatus.UNAUTHORIZED: "An API key is needed, or the one that was sent is none of a client's.",
    HTTPStatus.NOT_ACCEPTABLE: "There is none of the forms that the client accepts.",
    HTTPStatus.TOO_MANY_REQUESTS: "The client asks more often than it may; `Retry-After` says when to try again.",
    HTTPStatus.NOT_FOUND: "The pipeline does not follow this symbol; the body names the nearest.",
    HTTPStatus.NOT_IMPLEMENTED: "No store of this pipeline keeps this.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The stores are away; `Retry-After` says when to try again.",
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a path may answer with, for the OpenAPI document; `default` stands for all others."""
    content = {MEDIA_TYPE: {"schema": {"$ref": _SCHEMA.format(model=ProblemDetails.__name__)}}}
    told: dict[int | str, str] = {status: _WORDS[HTTPStatus(status)] for status in statuses}
    told["default"] = "Any other problem."
    return {status: {"description": words, "content": content} for status, words in told.items()}


def schemas() -> dict[str, Any]:
    """The schemas of a problem and of what it holds, by name."""
    _, found = models_json_schema([(ProblemDetails, "serialization")], ref_template=_SCHEMA)
    definitions: dict[str, Any] = found["$defs"]
    return definitions


def install(app: FastAPI) -> None:
    """Make the application answer every error so; a WebSocket is refused with the same answer before it is one."""

    def handles(*kinds: Any) -> Callable[[_Handler], _Handler]:
        def add(handler: _Handler) -> _Handler:
            async def handle(request: HTTPConnection, error: Any) -> Response | None:
                response = await handler(request, error)
                if isinstance(request, WebSocket):
                    await _refuse(request, response)
                    return None
                return response

            for kind in kinds:
                app.add_exception_handler(kind, handle)  # type: ignore[arg-type]  # typed for HTTP alone
            return handler

        return add

    @handles(RequestValidationError, WebSocketRequestValidationError)
    async def invalid(request: HTTPConnection, error: RequestValidationError) -> Response:
        """A parameter is wrong: 400; a path that names no symbol of this pipeline: 404."""
        # An absent parameter is None in its model: that a wrong one is not None either goes without saying.
        told = [details for details in error.errors() if details["type"] != "none_required"]
        findings = [_finding(request, details) for details in told]
        in_path = any(details["loc"][0] == "path" for details in told)
        names = ", ".join(dict.fromkeys(finding["field"] for finding in findings))
        many = len(findings)
        detail = f"1 parameter is wrong: {names}" if many == 1 else f"{many} parameters are wrong: {names}"
        return problem(request, HTTPStatus.NOT_FOUND if in_path else HTTPStatus.BAD_REQUEST, detail, findings)

    @handles(RetryableError)
    async def away(request: HTTPConnection, error: RetryableError) -> Response:
        """A store is away: 503, and when to try again."""
        _log.warning("cannot answer", extra={"path": request.url.path, "error": str(error)})
        seconds = max(RETRY_AFTER, round(error.retry_after or 0))
        return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": str(seconds)})

    @handles(NotKept)
    async def not_kept(request: HTTPConnection, error: NotKept) -> Response:
        """No store of this pipeline has it: 501."""
        return problem(request, HTTPStatus.NOT_IMPLEMENTED, str(error))

    @handles(HTTPException)
    async def other(request: HTTPConnection, error: HTTPException) -> Response:
        """No such path, or no such method."""
        return problem(request, HTTPStatus(error.status_code), str(error.detail), headers=error.headers)

    @handles(Exception)
    async def unexpected(request: HTTPConnection, error: Exception) -> Response:
        """A defect: told in the log, not to the client."""
        _log.error("request failed", extra={"path": request.url.path}, exc_info=error)
        return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed; the server's log says why")


def _finding(request: HTTPConnection, details: Mapping[str, Any]) -> dict[str, Any]:
    """What the model of the parameters says, in our words: our own validators say what would be right."""
    name = str(details["loc"][1])
    if details["type"] == "extra_forbidden":
        known = _parameters(request.scope["route"])
        expected = nearest("parameter", name, known, known) if known else "takes no parameters"
    elif details["type"] == "value_error":
        expected = str(details["ctx"]["error"])
    else:
        expected = details["msg"]
    return {"field": name, "value": details["input"], "expected": expected}


async def _refuse(socket: WebSocket, response: Response) -> None:
    """Answer instead of opening the WebSocket; one that is open is closed."""
    if socket.client_state is WebSocketState.CONNECTING:
        await socket.send_denial_response(response)
    elif socket.application_state is WebSocketState.CONNECTED:
        await socket.close(1011)


def _parameters(route: APIRoute | APIWebSocketRoute) -> list[str]:
    """Names of a path's query parameters, which are the fields of one model."""
    models = [field.field_info.annotation for field in route.dependant.query_params]
    return [
        field.alias or name
        for model in models
        if isinstance(model, type) and issubclass(model, BaseModel)
        for name, field in model.model_fields.items()
    ]


def problem(
    request: HTTPConnection,
    status: HTTPStatus,
    detail: str,
    problems: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer that tells of a problem; paths in Binance's form tell it in that form."""
    if request.url.path.startswith("/api/v3/"):
        told = {"code": _short_code(status, problems or []), "msg": _in_short(detail, problems or [])}
        return Response(msgspec.json.encode(told), status, headers, media_type="application/json")
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "instance": request.url.path,
        "problems": problems or [],
    }
    return Response(msgspec.json.encode(body), status, headers, media_type=MEDIA_TYPE)


_CODES = {
    HTTPStatus.UNAUTHORIZED: -2015,
    HTTPStatus.TOO_MANY_REQUESTS: -1003,
    HTTPStatus.SERVICE_UNAVAILABLE: -1001,
}


def _short_code(status: HTTPStatus, problems: list[dict[str, Any]]) -> int:
    """Binance's own numbers: an invalid symbol, an invalid interval, any other wrong parameter, or the status."""
    fields = [finding["field"] for finding in problems]
    of_fields = [{"symbol": -1121, "interval": -1120}.get(field, -1100) for field in fields]
    return of_fields[0] if of_fields else _CODES.get(status, -1000)


def _in_short(detail: str, problems: list[dict[str, Any]]) -> str:
    return "; ".join(f"{finding['field']}: {finding['expected']}" for finding in problems) or detail
