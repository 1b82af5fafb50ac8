"""`/api/v1/analytics`: what was.

Annotations are not postponed here: FastAPI reads them, and some name what only their function knows.
"""

from typing import Annotated, get_args

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from marketpipeline.alert_kinds import Severity, watched_alerts
from marketpipeline.api.models import Alerts, Book, Klines
from marketpipeline.api.parameters import Asked, FromOneTo, KnownSymbol, OneOf, Optional, SpanQuery, answer
from marketpipeline.api.problems import responses
from marketpipeline.readers import HistoryQuery
from marketpipeline.records import AlertStatus
from marketpipeline.settings import ApiSettings
from marketpipeline.store import table_of
from marketpipeline.store.rows import json_of

__all__ = ["make_router"]

_CANDLES, _BOOK, _ALERTS = table_of("candles"), table_of("book_metrics"), table_of("alerts")
_DEFAULT_ROWS = 500


def make_router(settings: ApiSettings) -> APIRouter:
    """The paths, for the symbols, candles and greatest `limit` of these settings."""
    symbols, windows = settings.symbols, settings.windows
    usual = "1m" if "1m" in windows else windows[0] if windows else "1m"

    class RowsQuery(SpanQuery):
        """Rows of one symbol."""

        limit: Annotated[int, FromOneTo(settings.max_rows)] = Field(
            min(_DEFAULT_ROWS, settings.max_rows),
            description="Most rows: the first ones after `from`; without `from` the newest.",
        )

    class KlinesQuery(RowsQuery):
        """Candles of one length."""

        interval: Annotated[str, OneOf("interval", windows)] = Field(usual, description="Length of a candle.")

    class AlertsQuery(RowsQuery):
        """Alerts, perhaps some of them only."""

        symbol: Annotated[str, KnownSymbol(symbols)] | Optional = Field(
            None, description="Of this symbol only.", examples=["BTCUSDT"]
        )
        rule: Annotated[str, OneOf("rule", (*watched_alerts(), *settings.patterns))] | Optional = Field(
            None, description="Of this rule only."
        )
        severity: Annotated[str, OneOf("severity", get_args(Severity))] | Optional = Field(
            None, description="Of this severity only."
        )
        status: Annotated[str, OneOf("status", get_args(AlertStatus))] | Optional = Field(
            None, description="In this state only."
        )

    symbol_words = "The symbol; `BTCUSDT` is enough where only one exchange has it."
    in_path = Path(description=symbol_words, examples=["binance:BTCUSDT"])
    router = APIRouter(prefix="/api/v1/analytics", tags=["analytics"])

    @router.get("/klines/{symbol}", response_model=Klines, responses=responses(400, 404, 501, 503))
    async def klines(
        readers: Asked, symbol: Annotated[str, KnownSymbol(symbols), in_path], query: Annotated[KlinesQuery, Query()]
    ) -> Response:
        """Candles in order of time."""
        filters = {"symbol": symbol, "interval": query.interval}
        rows = await readers.rows(HistoryQuery(_CANDLES, filters, query.span(query.limit)))
        return answer({"symbol": symbol, "interval": query.interval, "candles": rows})

    @router.get("/book/{symbol}", response_model=Book, responses=responses(400, 404, 501, 503))
    async def book(
        readers: Asked, symbol: Annotated[str, KnownSymbol(symbols), in_path], query: Annotated[RowsQuery, Query()]
    ) -> Response:
        """Measures of the order book in order of time, and the newest."""
        rows = await readers.rows(HistoryQuery(_BOOK, {"symbol": symbol}, query.span(query.limit)))
        newest = (await readers.newest([symbol], ["book"])).symbols[symbol].get("book")
        return answer({"symbol": symbol, "latest": newest and json_of(newest), "book": rows})

    @router.get("/alerts", response_model=Alerts, responses=responses(400, 501, 503))
    async def alerts(readers: Asked, query: Annotated[AlertsQuery, Query()]) -> Response:
        """Alerts by the time they started, the newest first."""
        filters = query.model_dump(include={"symbol", "rule", "severity", "status"}, exclude_none=True)
        return answer({"alerts": await readers.rows(HistoryQuery(_ALERTS, filters, query.span(query.limit), True))})

    return router
