"""`/api/v1/market`: what is now.

Annotations are not postponed here: FastAPI reads them, and some name what only their function knows.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from marketpipeline.api.models import Realtime
from marketpipeline.api.parameters import Asked, NoQuery, Optional, Several, answer
from marketpipeline.api.problems import responses
from marketpipeline.readers import NewestRecords
from marketpipeline.readers.asking import find_symbol
from marketpipeline.settings import ApiSettings
from marketpipeline.store import newest_kinds
from marketpipeline.store.rows import JsonRow, iso, json_of

__all__ = ["age_ms", "make_router", "summary"]

_TOP = ("best_bid", "best_bid_quantity", "best_ask", "best_ask_quantity", "mid", "spread", "spread_bps")
_MEASURES = ("imbalance", "weighted_imbalance", "vtob_ratio")


def make_router(settings: ApiSettings) -> APIRouter:
    """The path, for the symbols and candles of these settings."""
    router = APIRouter(prefix="/api/v1/market", tags=["market"])
    kinds = newest_kinds(settings.windows)

    each = Several(lambda name: find_symbol(name, settings.symbols))

    class RealtimeQuery(NoQuery):
        """The symbols that are wanted."""

        symbols: Annotated[str, each] | Optional = Field(
            None,
            description="Symbols, separated by commas; all without it. `BTCUSDT` is enough where only one exchange"
            " has it.",
            examples=["binance:BTCUSDT,ETHUSDT"],
        )

    @router.get("/realtime", response_model=Realtime, responses=responses(400, 501, 503))
    async def realtime(readers: Asked, query: Annotated[RealtimeQuery, Query()]) -> Response:
        """Price, spread, imbalance and the forming candles of each symbol, and how old that is."""
        wanted = settings.symbols if query.symbols is None else query.symbols.split(",")
        found = await readers.newest(wanted, kinds)
        now = datetime.now(UTC)
        moments = [summary(symbol, found.symbols[symbol], now) for symbol in wanted]
        return answer({"time": iso(now), "source": "+".join(found.sources), "symbols": moments})

    return router


def summary(symbol: str, newest: NewestRecords, now: datetime) -> JsonRow:
    """Price, best bid and ask, spread, measures of the book, candles, and how old the newest of it is. Pure.

    The price is that of the last trade, else the mid. Bid, ask and spread are of whichever was received last, the
    quote or the book; the measures are always of the book. What is not known is null. The age may be negative when
    the clocks of the machines disagree.
    """
    rows = {kind: json_of(record) for kind, record in newest.items()}
    trade, book, top = rows.get("trade", {}), rows.get("book", {}), _top(rows)
    received = max((row["receive_time"] for row in rows.values()), default=None)
    return {
        "symbol": symbol,
        "price": trade.get("price", top["mid"]),
        "price_time": trade.get("trade_time"),
        **top,
        **{name: book.get(name) for name in _MEASURES},
        "book_time": book.get("event_time"),
        "candles": {kind.removeprefix("candle:"): row for kind, row in rows.items() if kind.startswith("candle:")},
        "ticker": rows.get("ticker"),
        "receive_time": received,
        "age_ms": age_ms(received, now),
    }


def age_ms(moment: str | None, now: datetime) -> int | None:
    """Milliseconds from an ISO 8601 time to now."""
    return None if moment is None else round((now - datetime.fromisoformat(moment)).total_seconds() * 1000)


def _top(rows: Mapping[str, JsonRow]) -> dict[str, Any]:
    """Best bid and ask, mid and spread."""
    quote, book = rows.get("quote"), rows.get("book")
    if quote is not None and (book is None or quote["receive_time"] >= book["receive_time"]):
        bid, ask = quote["bid_price"], quote["ask_price"]
        mid = (bid + ask) / 2
        values = (bid, quote["bid_quantity"], ask, quote["ask_quantity"], mid, ask - bid, (ask - bid) / mid * 1e4)
        return dict(zip(_TOP, values, strict=True))
    return {name: book and book[name] for name in _TOP}
