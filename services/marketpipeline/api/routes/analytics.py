"""`/api/v1/analytics`: what was, page by page, as JSON, CSV or a stream of Apache Arrow.

Annotations are not postponed here: FastAPI reads them, and some name what only their function knows.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AfterValidator, Field

from marketpipeline.alert_kinds import Severity, watched_alerts
from marketpipeline.api.forms import FORMS, rows_answer
from marketpipeline.api.models import Alerts, Book, Events, Klines, LateTrades, Statistics, TradeCounts, Trades
from marketpipeline.api.paging import read_cursor, read_page
from marketpipeline.api.parameters import Asked, FromOneTo, KnownSymbol, OneOf, Optional, Several, SpanQuery, answer
from marketpipeline.api.problems import responses
from marketpipeline.readers import HistoryQuery, Readers, Span
from marketpipeline.readers.asking import find_symbol
from marketpipeline.records import AlertStatus, FeedEventKind
from marketpipeline.settings import ApiSettings
from marketpipeline.store import TABLES, Table, table_of
from marketpipeline.store.rows import json_of
from marketpipeline.topics import Feed

__all__ = ["make_router"]

_CANDLES, _BOOK, _ALERTS = table_of("candles"), table_of("book_metrics"), table_of("alerts")
_EVENTS, _TRADES, _LATE = table_of("feed_events"), table_of("trades"), table_of("late_trades")
_STATISTICS = next((table for table in TABLES if table.name == "trade_statistics"), None)
_DEFAULT_ROWS = 500
_COUNTED = ("trades", "volume", "quote_volume", "taker_buy_volume")


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
        cursor: Annotated[str, AfterValidator(read_cursor)] | Optional = Field(
            None,
            description="The `next` of an answer to the same question, for what follows: later rows where `from` is "
            "given, else earlier ones.",
        )

        async def page(
            self, request: Request, readers: Readers, table: Table, filters: Mapping[str, Any], **more: Any
        ) -> Response:
            """One page in the form that the client accepts; `more` is said in JSON before the rows."""
            name = more.pop("rows")
            asked = HistoryQuery(
                table,
                filters,
                self.span(self.limit),
                newest_first=more.pop("newest_first", False),
                without_outliers=more.pop("without_outliers", False),
            )
            found = await read_page(readers, asked, self.cursor)
            following = None if found.following is None else str(found.following)
            body = {**more, name: found.rows, "next": following}
            return await asyncio.to_thread(rows_answer, request, body, found.rows, table)

    class KlinesQuery(RowsQuery):
        """Rows of windows of one length."""

        interval: Annotated[str, OneOf("interval", windows)] = Field(usual, description="Length of a window.")

    class TradesQuery(RowsQuery):
        """Trades of one symbol, perhaps some of them only."""

        without_outliers: bool = Field(False, description="Leave out those that the alert `outlier` was raised for.")

    class OfAllQuery(RowsQuery):
        """Rows of all symbols, or of one."""

        symbol: Annotated[str, KnownSymbol(symbols)] | Optional = Field(
            None, description="Of this symbol only.", examples=["BTCUSDT"]
        )

    class AlertsQuery(OfAllQuery):
        """Alerts, perhaps some of them only."""

        rule: Annotated[str, OneOf("rule", (*watched_alerts(), *settings.patterns))] | Optional = Field(
            None, description="Of this rule only."
        )
        severity: Annotated[str, OneOf("severity", get_args(Severity))] | Optional = Field(
            None, description="Of this severity only."
        )
        status: Annotated[str, OneOf("status", get_args(AlertStatus))] | Optional = Field(
            None, description="In this state only."
        )

    class EventsQuery(OfAllQuery):
        """Events of the feeds, perhaps some of them only."""

        kind: Annotated[str, OneOf("kind", get_args(FeedEventKind))] | Optional = Field(
            None, description="Of this kind only."
        )
        feed: Annotated[str, OneOf("feed", [feed.value for feed in Feed])] | Optional = Field(
            None, description="Of this feed only."
        )

    class CountsQuery(SpanQuery):
        """What is counted."""

        symbols: Annotated[str, Several(lambda name: find_symbol(name, symbols))] | Optional = Field(
            None, description="Symbols, separated by commas; all without it.", examples=["BTCUSDT,ETHUSDT"]
        )
        interval: Annotated[str, OneOf("interval", windows)] = Field(
            usual, description="Length of the candles that are added up; a long span takes long ones."
        )

    symbol_words = "The symbol; `BTCUSDT` is enough where only one exchange has it."
    in_path = Path(description=symbol_words, examples=["binance:BTCUSDT"])
    router = APIRouter(prefix="/api/v1/analytics", tags=["analytics"])
    of_symbol, of_all = _answers(404), _answers()

    @router.get("/klines/{symbol}", response_model=Klines, responses=of_symbol)
    async def klines(
        request: Request,
        readers: Asked,
        symbol: Annotated[str, KnownSymbol(symbols), in_path],
        query: Annotated[KlinesQuery, Query()],
    ) -> Response:
        """Candles in order of time."""
        filters = {"symbol": symbol, "interval": query.interval}
        return await query.page(request, readers, _CANDLES, filters, **filters, rows="candles")

    @router.get("/book/{symbol}", response_model=Book, responses=of_symbol)
    async def book(
        request: Request,
        readers: Asked,
        symbol: Annotated[str, KnownSymbol(symbols), in_path],
        query: Annotated[RowsQuery, Query()],
    ) -> Response:
        """Measures of the order book in order of time, and the newest."""
        newest = (await readers.newest([symbol], ["book"])).symbols[symbol].get("book")
        latest = newest and json_of(newest)
        return await query.page(request, readers, _BOOK, {"symbol": symbol}, symbol=symbol, latest=latest, rows="book")

    @router.get("/trades/{symbol}", response_model=Trades, responses=of_symbol)
    async def trades(
        request: Request,
        readers: Asked,
        symbol: Annotated[str, KnownSymbol(symbols), in_path],
        query: Annotated[TradesQuery, Query()],
    ) -> Response:
        """Trades in order of time, each once; `limit` counts those that are not left out."""
        only = {"without_outliers": query.without_outliers}
        return await query.page(request, readers, _TRADES, {"symbol": symbol}, symbol=symbol, rows="trades", **only)

    if _STATISTICS is not None:
        statistics_table = _STATISTICS

        @router.get("/statistics/{symbol}", response_model=Statistics, responses=of_symbol)
        async def statistics(
            request: Request,
            readers: Asked,
            symbol: Annotated[str, KnownSymbol(symbols), in_path],
            query: Annotated[KlinesQuery, Query()],
        ) -> Response:
            """Statistics of the trades of each window in order of time."""
            filters = {"symbol": symbol, "interval": query.interval}
            return await query.page(request, readers, statistics_table, filters, **filters, rows="statistics")

    @router.get("/trades-count", response_model=TradeCounts, responses=responses(400, 501, 503))
    async def trades_count(readers: Asked, query: Annotated[CountsQuery, Query()]) -> Response:
        """Trades and volumes of each symbol: the sums over the candles whose opening is in the span."""
        wanted = symbols if query.symbols is None else query.symbols.split(",")
        counts = await _count(readers, wanted, query.interval, query.span())
        return answer({"interval": query.interval, "symbols": counts})

    @router.get("/alerts", response_model=Alerts, responses=of_all)
    async def alerts(request: Request, readers: Asked, query: Annotated[AlertsQuery, Query()]) -> Response:
        """Alerts by the time they started, the newest first."""
        filters = query.model_dump(include={"symbol", "rule", "severity", "status"}, exclude_none=True)
        return await query.page(request, readers, _ALERTS, filters, rows="alerts", newest_first=True)

    @router.get("/alerts/whale-alerts", response_model=Alerts, responses=of_all)
    async def whale_alerts(request: Request, readers: Asked, query: Annotated[OfAllQuery, Query()]) -> Response:
        """Single trades above the threshold, the newest first; `value` is price times quantity."""
        filters = query.model_dump(include={"symbol"}, exclude_none=True) | {"rule": "whale_trade"}
        return await query.page(request, readers, _ALERTS, filters, rows="alerts", newest_first=True)

    @router.get("/events", response_model=Events, responses=of_all)
    async def events(request: Request, readers: Asked, query: Annotated[EventsQuery, Query()]) -> Response:
        """What the feeds lack and what was fetched: gaps, backfills, resyncs, reconnects; the newest first."""
        filters = query.model_dump(include={"symbol", "kind", "feed"}, exclude_none=True)
        return await query.page(request, readers, _EVENTS, filters, rows="events", newest_first=True)

    @router.get("/late-trades", response_model=LateTrades, responses=of_all)
    async def late_trades(request: Request, readers: Asked, query: Annotated[OfAllQuery, Query()]) -> Response:
        """Trades that came after their candle had closed, and so are in none; the newest first."""
        filters = query.model_dump(include={"symbol"}, exclude_none=True)
        return await query.page(request, readers, _LATE, filters, rows="late_trades", newest_first=True)

    return router


def _answers(*more: int) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": FORMS}, **responses(400, *more, 406, 501, 503)}


async def _count(readers: Readers, symbols: list[str], interval: str, span: Span) -> list[dict[str, Any]]:
    """Added up by the store; a symbol without candles has zeros."""
    query = HistoryQuery(_CANDLES, {"symbol": symbols, "interval": interval}, span)
    sums = {found.symbol: {**found.sums, "candles": found.rows} for found in await readers.count(query, _COUNTED)}
    nothing = dict.fromkeys((*_COUNTED, "candles"), 0)
    return [{"symbol": symbol, **sums.get(symbol, nothing)} for symbol in symbols]
