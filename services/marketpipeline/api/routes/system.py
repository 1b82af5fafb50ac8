"""`/api/v1/system`: health, tiers, what there is of each day; and what a platform's probes and Prometheus ask for.

Annotations are not postponed here: FastAPI reads them, and some name what only their function knows.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from marketpipeline.api.models import CoverageAnswer, SystemHealth, Tiers
from marketpipeline.api.parameters import Asked, FromOneTo, NoQuery, OneOf, Optional, Several, SpanQuery, answer
from marketpipeline.api.problems import responses
from marketpipeline.api.routes.market import age_ms
from marketpipeline.errors import RetryableError
from marketpipeline.readers import HistoryQuery, NotKept, Readers, StoreHealth, days_held
from marketpipeline.readers.asking import find_symbol
from marketpipeline.settings import ApiSettings
from marketpipeline.store import TABLES, newest_kinds, table_of
from marketpipeline.store.rows import JsonRow, iso, json_of
from marketpipeline.telemetry import Telemetry

__all__ = ["make_router"]

_FAILED: dict[int | str, dict[str, Any]] = {
    503: {"description": "No store answers.", "model": SystemHealth},
    **responses(400),
}


def make_router(settings: ApiSettings) -> APIRouter:
    """The paths, for the symbols and candles of these settings."""
    symbols, windows = settings.symbols, settings.windows
    usual = "1m" if "1m" in windows else windows[0] if windows else "1m"
    router = APIRouter(tags=["system"])

    class CoverageQuery(SpanQuery):
        """What is looked for."""

        table: Annotated[str, OneOf("table", [table.name for table in TABLES])] = Field(
            "candles", description="What is counted."
        )
        symbols: Annotated[str, Several(lambda name: find_symbol(name, symbols))] | Optional = Field(
            None, description="Symbols, separated by commas; all without it.", examples=["BTCUSDT,ETHUSDT"]
        )
        interval: Annotated[str, OneOf("interval", windows)] = Field(
            usual, description="Length of the windows that are counted, in a table of windows."
        )
        limit: Annotated[int, FromOneTo(settings.max_rows)] = Field(
            settings.max_rows, description="Most days, the newest of them; a day counts once for each symbol."
        )

        def asked(self) -> HistoryQuery:
            """The rows that are counted."""
            table = table_of(self.table)
            wanted = symbols if self.symbols is None else self.symbols.split(",")
            of_interval = {"interval": self.interval} if "interval" in table.column_names else {}
            return HistoryQuery(table, {"symbol": wanted} | of_interval, self.span())

    @router.get("/api/v1/system/health", response_model=SystemHealth, responses=_FAILED)
    async def system_health(readers: Asked, query: Annotated[NoQuery, Query()]) -> Response:
        """Whether each store answers, and how old the newest data of each symbol is."""
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

    @router.get("/api/v1/system/tiers", response_model=Tiers, responses=responses(400, 503))
    async def tiers(readers: Asked, query: Annotated[NoQuery, Query()]) -> Response:
        """The stores as tiers, the hot one first, and how many days of each table the cold one answers for."""
        return answer({"tiers": [asdict(tier) for tier in await readers.tiers()]})

    @router.get("/api/v1/system/coverage", response_model=CoverageAnswer, responses=responses(400, 501, 503))
    async def coverage(readers: Asked, query: Annotated[CoverageQuery, Query()]) -> Response:
        """What there is of each symbol and UTC day, where, and how many gaps are known. Days without either are absent.

        Rows are counted: a long span of single trades or books takes the database long, one of candles does not.
        """
        days = await days_held(readers, query.asked())
        left_out = max(0, len(days) - query.limit)
        body = {"table": query.table, "left_out": left_out, "days": [asdict(day) for day in days[left_out:]]}
        return answer(body)

    return router


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
