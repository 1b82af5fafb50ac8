"""What the API counts: requests by route and status, and its stream. By route, so that symbols make no new series."""

from __future__ import annotations

import time
from collections.abc import Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketpipeline.api.stream import Hub

__all__ = ["Measuring", "observe_stream"]


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

    meter.create_observable_gauge("api.stream.readers", [readers], "1", "Readers of the stream.")
    meter.create_observable_counter("api.stream.updates", [updates], "1", "Updates that the stream took in.")
    meter.create_observable_counter("api.stream.left.out", [skipped], "1", "Updates left out for slow readers.")
