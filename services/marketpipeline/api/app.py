"""The application: its paths, its stores, its stream, what it counts, and the OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any

from fastapi import FastAPI
from opentelemetry.metrics import Meter
from starlette.middleware.cors import CORSMiddleware

from marketpipeline import __version__
from marketpipeline.api import problems
from marketpipeline.api.access import LIMIT_HEADERS, Access, ApiKeys
from marketpipeline.api.books import Books
from marketpipeline.api.limiter import Limiter
from marketpipeline.api.measuring import Measuring, observe_stream, watching_tiers
from marketpipeline.api.routes import analytics, docs, market, stream, system, v3
from marketpipeline.api.stream import Feed, Hub, kinds_of, newest_records, topics_of
from marketpipeline.readers import Readers, readers_of
from marketpipeline.registry import resolve
from marketpipeline.settings import ApiSettings
from marketpipeline.sink_kinds import sink_kinds

__all__ = ["create_app"]

_DESCRIPTION = """\
What a market pipeline has stored: what is now, what was, and how the system is.

A symbol is `exchange:SYMBOL`, or `SYMBOL` alone where only one exchange has it. Times are ISO 8601 in UTC;
parameters also take seconds, milliseconds or microseconds since 1970. Prices are in quote units, quantities in base
units. Every answer that is not a success is a problem (RFC 9457) that names the parameter, its value and what would be
right.
"""


def create_app(settings: ApiSettings, meter: Meter | None = None) -> FastAPI:
    """The application for these settings; `meter` counts its requests."""
    readers = readers_of(settings, "marketpipeline-api")
    hub = Hub()
    books = Books(settings.kafka, settings.topic_prefix, f"{settings.pipeline}-api-books", hub)
    streaming = _streaming(settings, readers, hub, books)
    limiter = _limiter(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watching = nullcontext() if meter is None or not readers.have_archive else watching_tiers(meter, readers)
        async with readers, watching:
            if limiter is not None:
                limiter.start()
            yield
            await streaming.close()
            await books.close()
            if limiter is not None:
                await limiter.close()

    app = FastAPI(
        title=f"marketpipeline: {settings.pipeline}",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.readers, app.state.settings, app.state.streaming = readers, settings, streaming
    app.state.books = books
    problems.install(app)
    of_market, shortcut = market.make_router(settings)
    app.router.routes.append(shortcut)
    app.include_router(of_market)
    app.include_router(analytics.make_router(settings))
    app.include_router(stream.make_router(settings))
    app.include_router(v3.make_router(settings))
    app.include_router(system.make_router(settings))
    app.include_router(docs.router)
    _document(app)
    keys = app.state.keys = None if settings.keys_folder is None else ApiKeys(settings.keys_folder)
    if keys is not None or limiter is not None:
        app.add_middleware(Access, keys=keys, limiter=limiter)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET"],
            allow_headers=["Authorization", "Last-Event-ID", "X-API-Key"],
            expose_headers=["Link", "Retry-After", *LIMIT_HEADERS],
            max_age=settings.cors_max_age_ms // 1_000,
        )
    if meter is not None:
        app.add_middleware(Measuring, meter=meter)
        observe_stream(meter, streaming.hub)
    return app


def _limiter(settings: ApiSettings) -> Limiter | None:
    """Counts in the first store that can count, and else in this process alone."""
    rate = settings.rate_limit
    if rate is None:
        return None
    kinds = sink_kinds()
    places = [(kinds[name].counters, store) for name, store in settings.stores.by_kind().items()]
    made = [resolve(target)(store, "marketpipeline-api") for target, store in places if target is not None]
    return Limiter(rate.requests, rate.seconds, made[0] if made else None)


def _streaming(settings: ApiSettings, readers: Readers, hub: Hub, books: Books) -> stream.Streaming:
    feed = None
    if settings.kafka is not None:
        kinds = kinds_of(settings.feeds)
        newest = partial(newest_records, readers, settings.symbols, settings.windows, kinds)
        client = f"{settings.pipeline}-api"
        feed = Feed(hub, settings.kafka, settings.topic_prefix, topics_of(kinds), client, newest)
    return stream.Streaming(hub, feed, books, settings.max_stream_readers)


def _document(app: FastAPI) -> None:
    """Add the form of problems to the document: paths refer to it, and none of them has it as its model."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document["components"]["schemas"] |= problems.schemas()
        return document

    app.openapi = openapi  # type: ignore[method-assign] # the framework's documented way to change it
