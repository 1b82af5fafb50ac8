"""Errors as RFC 9457 problems: what is wrong, where, and what would be right; never a stack trace."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from marketpipeline.api.reader import NotKept
from marketpipeline.errors import InvalidQuery, RetryableError

__all__ = ["ProblemDetails", "install"]

_log = logging.getLogger(__name__)

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
    """The body of every answer that is no success, as `application/problem+json`."""

    type: str = Field(description="Kind of the problem.", examples=["about:blank"])
    title: str = Field(description="The kind in words.", examples=["Bad Request"])
    status: int = Field(description="HTTP status.", examples=[400])
    detail: str = Field(description="What happened.", examples=["1 parameter is wrong: symbol"])
    instance: str = Field(description="The path asked for.", examples=["/api/v1/analytics/klines/BTCUSD"])
    problems: list[Finding] = Field(default_factory=list, description="Every finding of a wrong request.")


def install(app: FastAPI) -> None:
    """Make the application answer every error so."""

    @app.exception_handler(InvalidQuery)
    async def invalid(request: Request, error: InvalidQuery) -> Response:
        """A parameter is wrong: 400; a path that names no symbol of this pipeline: 404."""
        in_path = any(problem.field in request.path_params for problem in error.problems)
        names = ", ".join(dict.fromkeys(problem.field for problem in error.problems))
        many = len(error.problems)
        detail = f"1 parameter is wrong: {names}" if many == 1 else f"{many} parameters are wrong: {names}"
        findings = [{"field": p.field, "value": p.value, "expected": p.expected} for p in error.problems]
        return _answer(request, 404 if in_path else 400, detail, findings)

    @app.exception_handler(RetryableError)
    async def away(request: Request, error: RetryableError) -> Response:
        """A store is away: 503, and when to try again."""
        _log.warning("cannot answer", extra={"path": request.url.path, "error": str(error)})
        seconds = max(RETRY_AFTER, round(error.retry_after or 0))
        return _answer(request, 503, str(error), headers={"Retry-After": str(seconds)})

    @app.exception_handler(NotKept)
    async def not_kept(request: Request, error: NotKept) -> Response:
        """No store of this pipeline has it: 501."""
        return _answer(request, 501, str(error))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        """No such path, or no such method."""
        return _answer(request, error.status_code, str(error.detail), headers=dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        """A defect: told in the log, not to the client."""
        _log.error("request failed", extra={"path": request.url.path}, exc_info=error)
        return _answer(request, 500, "the request failed; the server's log says why")


_TITLES = {
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}


def _answer(
    request: Request,
    status: int,
    detail: str,
    problems: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    body = {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "problems": problems or [],
    }
    return Response(msgspec.json.encode(body), status, headers, media_type="application/problem+json")
