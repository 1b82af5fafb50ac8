"""What every path shares: the reader it asks, how it writes JSON, how it documents its problems."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Depends, Query, Request, Response

from marketpipeline.api.problems import ProblemDetails
from marketpipeline.api.reader import Reader

__all__ = ["FROM", "TO", "Asked", "answer", "problems"]

_TIME = "ISO 8601 (UTC when it names no zone), or seconds or milliseconds since 1970."

FROM = Query(alias="from", description=f"Begin, which is in it. {_TIME}", examples=["2024-08-08T23:54:00Z"])
TO = Query(alias="to", description=f"End, which is not in it. {_TIME}", examples=["1723161600000"])


def _reader(request: Request) -> Reader:
    reader: Reader = request.app.state.reader
    return reader


Asked = Annotated[Reader, Depends(_reader)]
"""The reader of the application."""


def answer(body: Any, status: int = 200) -> Response:
    """JSON, written from rows as they are: to validate them again would cost more than to read them."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a path may answer with, for the OpenAPI document."""
    return {status: {"description": _WORDS[status], "model": ProblemDetails} for status in statuses}


_WORDS = {
    400: "A parameter is wrong; the body names each, and what would be right.",
    404: "The pipeline does not follow this symbol; the body names the nearest.",
    501: "No store of this pipeline keeps this.",
    503: "The stores are away; `Retry-After` says when to try again.",
}
