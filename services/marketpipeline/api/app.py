"""The application: its paths, its stores, what it counts, and the OpenAPI document."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from opentelemetry.metrics import Meter

from marketpipeline import __version__
from marketpipeline.api import problems
from marketpipeline.api.routes import analytics, docs, market, system
from marketpipeline.readers import readers_of
from marketpipeline.settings import ApiSettings

__all__ = ["create_app"]

_DESCRIPTION = """\
What a market pipeline has stored: what is now, what was, and how the system is.

A symbol is `exchange:SYMBOL`, or `SYMBOL` alone where only one exchange has it. Times are ISO 8601 in UTC;
parameters also take seconds or milliseconds since 1970. Prices are in quote units, quantities in base units.
Every answer that is not a success is a problem (RFC 9457) that names the parameter, its value and what would be right.
"""


def create_app(settings: ApiSettings, meter: Meter | None = None) -> FastAPI:
    """The application for these settings; `meter` counts its requests."""
    readers = readers_of(settings, "marketpipeline-api")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with readers:
            yield

    app = FastAPI(
        title=f"marketpipeline: {settings.pipeline}",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.readers, app.state.settings = readers, settings
    problems.install(app)
    app.include_router(market.make_router(settings))
    app.include_router(analytics.make_router(settings))
    app.include_router(system.router)
    app.include_router(docs.router)
    _document(app)
    if meter is not None:
        _measure(app, meter)
    return app


def _document(app: FastAPI) -> None:
    """Add the form of problems to the document: paths refer to it, and none of them has it as its model."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document["components"]["schemas"] |= problems.schemas()
        return document

    app.openapi = openapi  # type: ignore[method-assign] # the framework's documented way to change it


def _measure(app: FastAPI, meter: Meter) -> None:
    """Count requests and their time by route and status; by route, so that symbols make no new series."""
    duration = meter.create_histogram("api.request.duration", "s", "Time to answer, by `route`, `method`, `status`.")

    @app.middleware("http")
    async def measure(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
        began, status = time.perf_counter(), 500
        try:
            response = await proceed(request)
            status = response.status_code
        finally:
            route = getattr(request.scope.get("route"), "path", "none")
            labels = {"route": route, "method": request.method, "status": status}
            duration.record(time.perf_counter() - began, labels)
        return response
