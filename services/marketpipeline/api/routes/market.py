"""`/api/v1/market`: what is now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic.json_schema import SkipJsonSchema

from marketpipeline.api.arguments import Arguments
from marketpipeline.api.models import Realtime
from marketpipeline.api.realtime import summary
from marketpipeline.api.routes.answer import Asked, answer, problems
from marketpipeline.api.rows import iso

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/market", tags=["market"])

_SYMBOLS = Query(
    description="Symbols, separated by commas; all without it. `BTCUSDT` is enough where one exchange only has it.",
    examples=["binance:BTCUSDT,ETHUSDT"],
)


@router.get("/realtime", response_model=Realtime, responses=problems(400, 501, 503))
async def realtime(
    request: Request, reader: Asked, symbols: Annotated[str | SkipJsonSchema[None], _SYMBOLS] = None
) -> Response:
    """Price, spread, imbalance and the forming candles of each symbol, and how old that is."""
    arguments = Arguments(request.url.path)
    arguments.only(request.query_params, ["symbols"])
    wanted = arguments.symbols(symbols, reader.symbols)
    arguments.check()
    source, newest = await reader.newest(wanted)
    now = datetime.now(UTC)
    moments = [summary(symbol, newest[symbol], now) for symbol in wanted]
    return answer({"time": iso(now), "source": source, "symbols": moments})
