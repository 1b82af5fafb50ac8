"""`/api/v1/system/health`, and what a platform's probes and Prometheus ask for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from marketpipeline.api.arguments import Arguments
from marketpipeline.api.models import SystemHealth
from marketpipeline.api.reader import NotKept, Reader
from marketpipeline.api.realtime import age_ms, summary
from marketpipeline.api.routes.answer import Asked, answer
from marketpipeline.api.rows import JsonRow, iso
from marketpipeline.api.stores import Newest
from marketpipeline.errors import RetryableError
from marketpipeline.telemetry import Telemetry

__all__ = ["router"]

router = APIRouter(tags=["system"])

_FAILED: dict[int | str, dict[str, Any]] = {503: {"description": "No store answers.", "model": SystemHealth}}


@router.get("/api/v1/system/health", response_model=SystemHealth, responses=_FAILED)
async def system_health(request: Request, reader: Asked) -> Response:
    """Whether each store answers, and how old the newest data of each symbol is."""
    arguments = Arguments(request.url.path)
    arguments.only(request.query_params, [])
    arguments.check()
    stores = await reader.stores()
    now = datetime.now(UTC)
    body = {
        "status": _status(stores),
        "time": iso(now),
        "pipeline": request.app.state.pipeline,
        "stores": stores,
        "symbols": await _ages(reader, now),
    }
    return answer(body, 503 if body["status"] == "failed" else 200)


@router.get("/health", include_in_schema=False)
async def health(request: Request, reader: Asked) -> Response:
    """The readiness probe: the stores only."""
    stores = await reader.stores()
    status = _status(stores)
    return answer({"status": status, "stores": stores}, 503 if status == "failed" else 200)


@router.get("/health/live", include_in_schema=False)
async def live() -> Response:
    """The liveness probe: that the event loop turns."""
    return answer({"alive": True})


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics() -> Response:
    """Everything that this process measures, in Prometheus' text format."""
    return Response(Telemetry.prometheus(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _status(stores: dict[str, JsonRow]) -> str:
    answering = [store for store in stores.values() if store["status"] == "ok"]
    if len(answering) == len(stores):
        return "ok"
    return "degraded" if answering else "failed"


async def _ages(reader: Reader, now: datetime) -> list[JsonRow]:
    try:
        _, newest = await reader.newest(reader.symbols)
    except (RetryableError, NotKept):
        newest = {symbol: Newest() for symbol in reader.symbols}
    found = []
    for symbol, kinds in newest.items():
        candles = max((row["receive_time"] for row in kinds.candles.values()), default=None)
        found.append(
            {
                "symbol": symbol,
                "trade_age_ms": age_ms((kinds.trade or {}).get("receive_time"), now),
                "book_age_ms": age_ms((kinds.book or {}).get("receive_time"), now),
                "candle_age_ms": age_ms(candles, now),
                "age_ms": summary(symbol, kinds, now)["age_ms"],
            }
        )
    return found
