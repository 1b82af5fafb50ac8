"""What the API counts: requests by route and status, its stream, and days that the archive lacks.

By route, so that symbols make no new series.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketpipeline.api.stream import Hub
from marketpipeline.errors import RetryableError
from marketpipeline.readers import Readers
from marketpipeline.store import TABLES

__all__ = ["Measuring", "observe_stream", "watching_tiers"]

_log = logging.getLogger(__name__)

_WATCH_SECONDS = 60.0
"""Between two questions for the days that were kept back: their job runs once a day."""


class Measuring:
    """The time from a request to the beginning of its answer, as a stream's does not end."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self._app = app
        self._duration = meter.create_histogram(
            "api.request.duration", "s", "Time to answer, by `route`, `method`, `status`."
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                labels = {"route": route, "method": scope["method"], "status": message["status"]}
                self._duration.record(time.perf_counter() - began, labels)
            await send(message)

        await self._app(scope, receive, note)


def observe_stream(meter: Meter, hub: Hub) -> None:
    """How many read the stream, what it took in, and what was left out for readers that are slow."""

    def readers(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(hub.readers)

    def updates(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(hub.updates)

    def skipped(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(hub.left_out)

    meter.create_observable_gauge("api.stream.readers", [readers], "{reader}", "Readers of the stream.")
    meter.create_observable_counter("api.stream.updates", [updates], "1", "Updates that the stream took in.")
    meter.create_observable_counter("api.stream.left.out", [skipped], "1", "Updates left out for slow readers.")


@asynccontextmanager
async def watching_tiers(meter: Meter, readers: Readers) -> AsyncIterator[None]:
    """Tell for the time of the block how many days of each table should be in the archive and are not.

    While the database is away nothing is told, so that an old figure is not taken for a present one.
    """
    days: Counter[str] | None = None

    def kept_back(_: CallbackOptions) -> Iterable[Observation]:
        if days is not None:
            yield from (Observation(days[table.name], {"table": table.name}) for table in TABLES)

    async def watch() -> None:
        nonlocal days
        while True:
            try:
                days = Counter(day.table for day in await readers.kept_back())
            except RetryableError as error:
                days = None
                _log.info("which days were kept back is not known", extra={"error": str(error)})
            await asyncio.sleep(_WATCH_SECONDS)

    name, words = "api.tier.days.kept.back", "Days of a table that should be in the archive and are not."
    meter.create_observable_gauge(name, [kept_back], "{day}", words)
    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
