"""`/api/v1/system/health`, and what a platform's probes and Prometheus ask for."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from marketpipeline.api.models import SystemHealth
from marketpipeline.api.parameters import Asked, NoQuery, answer
from marketpipeline.api.problems import responses
from marketpipeline.api.routes.market import age_ms
from marketpipeline.errors import RetryableError
from marketpipeline.readers import NotKept, Readers, StoreHealth
from marketpipeline.settings import ApiSettings
from marketpipeline.store import newest_kinds
from marketpipeline.store.rows import JsonRow, iso, json_of
from marketpipeline.telemetry import Telemetry

__all__ = ["router"]

router = APIRouter(tags=["system"])

_FAILED: dict[int | str, dict[str, Any]] = {
    503: {"description": "No store answers.", "model": SystemHealth},
    **responses(400),
}


@router.get("/api/v1/system/health", response_model=SystemHealth, responses=_FAILED)
async def system_health(request: Request, readers: Asked, query: Annotated[NoQuery, Query()]) -> Response:
    """Whether each store answers, and how old the newest data of each symbol is."""
    settings: ApiSettings = request.app.state.settings
    found = await readers.health()
    now = datetime.now(UTC)
    status = _status(found)
    body = {
        "status": status,
        "time": iso(now),
        "pipeline": settings.pipeline,
        "stores": _rows(found),
        "symbols": await _ages(readers, settings, now),
    }
    return answer(body, _http_status(status))


@router.get("/health", include_in_schema=False)
async def health(readers: Asked) -> Response:
    """The readiness probe: the stores only."""
    found = await readers.health()
    return answer({"status": _status(found), "stores": _rows(found)}, _http_status(_status(found)))


@router.get("/health/live", include_in_schema=False)
async def live() -> Response:
    """The liveness probe: that the event loop turns."""
    return answer({"alive": True})


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics() -> Response:
    """Everything that this process measures, in Prometheus' text format."""
    return Response(Telemetry.prometheus(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _rows(stores: dict[str, StoreHealth]) -> dict[str, JsonRow]:
    return {name: {"status": "failed" if store.error else "ok", **asdict(store)} for name, store in stores.items()}


def _status(stores: dict[str, StoreHealth]) -> str:
    answering = [store for store in stores.values() if store.error is None]
    if len(answering) == len(stores):
        return "ok"
    return "degraded" if answering else "failed"


def _http_status(status: str) -> int:
    return HTTPStatus.SERVICE_UNAVAILABLE if status == "failed" else HTTPStatus.OK


async def _ages(readers: Readers, settings: ApiSettings, now: datetime) -> list[JsonRow]:
    """Of the newest trade, book and candle, and of the newest of all kinds."""
    try:
        found = (await readers.newest(settings.symbols, newest_kinds(settings.windows))).symbols
    except (RetryableError, NotKept):
        found = {symbol: {} for symbol in settings.symbols}
    ages = []
    for symbol, newest in found.items():
        received = {kind: json_of(record)["receive_time"] for kind, record in newest.items()}
        candles = [moment for kind, moment in received.items() if kind.startswith("candle:")]
        ages.append(
            {
                "symbol": symbol,
                "trade_age_ms": age_ms(received.get("trade"), now),
                "book_age_ms": age_ms(received.get("book"), now),
                "candle_age_ms": age_ms(max(candles, default=None), now),
                "age_ms": age_ms(max(received.values(), default=None), now),
            }
        )
    return ages
