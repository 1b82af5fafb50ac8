"""`/api/v1/analytics`: what was.

Annotations are not postponed here: FastAPI reads them, and one names what only its function knows.
"""

from collections.abc import Sequence
from typing import Annotated, get_args

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from marketpipeline.alert_kinds import Severity, watched_alerts
from marketpipeline.api.arguments import Arguments
from marketpipeline.api.models import Alerts, Book, Klines
from marketpipeline.api.routes.answer import FROM, TO, Asked, answer, problems
from marketpipeline.records import AlertStatus

__all__ = ["make_router"]

_SYMBOL = Path(
    description="The symbol; `BTCUSDT` is enough where one exchange only has it.", examples=["binance:BTCUSDT"]
)
_SPAN = ("from", "to", "limit")
_DEFAULT_ROWS = 500

Text = str | SkipJsonSchema[None]
"""An optional parameter: absent or text, never null."""


def make_router(max_rows: int, windows: Sequence[str]) -> APIRouter:
    """The paths, whose `limit` goes up to `max_rows`; `windows` are the intervals that candles have."""
    usual = "1m" if "1m" in windows else windows[0] if windows else "1m"
    router = APIRouter(prefix="/api/v1/analytics", tags=["analytics"])
    default = min(_DEFAULT_ROWS, max_rows)
    limits = Query(description="Rows at most: the first ones behind `from`, without `from` the newest.")
    number = WithJsonSchema({"type": "integer", "minimum": 1, "maximum": max_rows, "default": default})

    @router.get("/klines/{symbol}", response_model=Klines, responses=problems(400, 404, 501, 503))
    async def klines(
        request: Request,
        reader: Asked,
        symbol: Annotated[str, _SYMBOL],
        interval: Annotated[str, Query(description=f"Length of a candle: {', '.join(windows)}.")] = usual,
        since: Annotated[Text, FROM] = None,
        until: Annotated[Text, TO] = None,
        limit: Annotated[Text, number, limits] = None,
    ) -> Response:
        """Candles in order of time."""
        arguments = Arguments(request.url.path)
        arguments.only(request.query_params, ["interval", *_SPAN])
        name = arguments.symbol(symbol, reader.symbols)
        window = arguments.choice("interval", interval, reader.windows)
        span = arguments.span(since, until, arguments.limit(limit, default, max_rows))
        arguments.check()
        rows = await reader.history("candles", {"symbol": name, "interval": window}, span)
        return answer({"symbol": name, "interval": window, "candles": rows})

    @router.get("/book/{symbol}", response_model=Book, responses=problems(400, 404, 501, 503))
    async def book(
        request: Request,
        reader: Asked,
        symbol: Annotated[str, _SYMBOL],
        since: Annotated[Text, FROM] = None,
        until: Annotated[Text, TO] = None,
        limit: Annotated[Text, number, limits] = None,
    ) -> Response:
        """Measures of the order book in order of time, and the newest."""
        arguments = Arguments(request.url.path)
        arguments.only(request.query_params, _SPAN)
        name = arguments.symbol(symbol, reader.symbols)
        span = arguments.span(since, until, arguments.limit(limit, default, max_rows))
        arguments.check()
        rows = await reader.history("book_metrics", {"symbol": name}, span)
        _, newest = await reader.newest([name])
        return answer({"symbol": name, "latest": newest[name].book, "book": rows})

    @router.get("/alerts", response_model=Alerts, responses=problems(400, 501, 503))
    async def alerts(
        request: Request,
        reader: Asked,
        symbol: Annotated[Text, Query(description="Of this symbol only.", examples=["BTCUSDT"])] = None,
        rule: Annotated[Text, Query(description="Of this rule only.", examples=["extreme_imbalance"])] = None,
        severity: Annotated[Text, Query(description="Of this severity only.", examples=["HIGH"])] = None,
        status: Annotated[Text, Query(description="In this state only.", examples=["open"])] = None,
        since: Annotated[Text, FROM] = None,
        until: Annotated[Text, TO] = None,
        limit: Annotated[Text, number, limits] = None,
    ) -> Response:
        """Alerts by the time they started, the newest first."""
        arguments = Arguments(request.url.path)
        arguments.only(request.query_params, ["symbol", "rule", "severity", "status", *_SPAN])
        asked = {
            "symbol": None if symbol is None else arguments.symbol(symbol, reader.symbols),
            "rule": arguments.choice("rule", rule, list(watched_alerts())),
            "severity": arguments.choice("severity", severity, get_args(Severity)),
            "status": arguments.choice("status", status, get_args(AlertStatus)),
        }
        span = arguments.span(since, until, arguments.limit(limit, default, max_rows))
        arguments.check()
        filters = {name: value for name, value in asked.items() if value is not None}
        return answer({"alerts": await reader.alerts(filters, span)})

    return router
