"""`/api/v1/market`: what is now.

Annotations are not postponed here: FastAPI reads them, and some name what only their function knows.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from marketpipeline.api.models import MarketSummary, Ranking, Realtime, TickerHealth
from marketpipeline.api.parameters import Asked, FromOneTo, NoQuery, OneOf, Optional, Several, answer
from marketpipeline.api.problems import responses
from marketpipeline.api.shortcut import Shortcut
from marketpipeline.readers import NewestRecords, Readers
from marketpipeline.readers.asking import find_symbol
from marketpipeline.records import Candle
from marketpipeline.schema import microseconds
from marketpipeline.settings import ApiSettings
from marketpipeline.store import newest_kinds
from marketpipeline.store.rows import JsonRow, iso, json_of

__all__ = ["age_ms", "make_router", "summary"]

_TOP = ("best_bid", "best_bid_quantity", "best_ask", "best_ask_quantity", "mid", "spread", "spread_bps")
_MEASURES = ("imbalance", "weighted_imbalance", "vtob_ratio")


def make_router(settings: ApiSettings) -> tuple[APIRouter, Shortcut]:
    """The paths, for the symbols and candles of these settings, and the short way to the one that is asked most."""
    router = APIRouter(prefix="/api/v1/market", tags=["market"])
    longest = max(settings.windows, key=microseconds, default="1m")
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

    async def newest(readers: Readers, wanted: list[str]) -> Response:
        found = await readers.newest(wanted, kinds)
        now = datetime.now(UTC)
        moments = [summary(symbol, found.symbols[symbol], now) for symbol in wanted]
        return answer({"time": iso(now), "source": "+".join(found.sources), "symbols": moments})

    shortcut = Shortcut("/api/v1/market/realtime", newest)

    @router.get("/realtime", response_model=Realtime, responses=responses(400, 501, 503))
    async def realtime(request: Request, readers: Asked, query: Annotated[RealtimeQuery, Query()]) -> Response:
        """Price, spread, imbalance and the forming candles of each symbol, and how old that is."""
        wanted = settings.symbols if query.symbols is None else query.symbols.split(",")
        shortcut.note(request.scope, wanted)
        return await newest(readers, wanted)

    class RankQuery(NoQuery):
        """Over what is ranked, and how many are told."""

        interval: Annotated[str, OneOf("interval", settings.windows)] = Field(
            longest, description="The last whole window of this length and the one that forms count together."
        )
        limit: Annotated[int, FromOneTo(1_000)] = Field(10, description="Most symbols.")

    class SummaryQuery(NoQuery):
        """Over what is summed."""

        interval: Annotated[str, OneOf("interval", settings.windows)] = Field(
            longest, description="The last whole window of this length and the one that forms count together."
        )

    class HealthQuery(NoQuery):
        """What counts as old."""

        stale_after: Annotated[int, FromOneTo(86_400)] = Field(
            60, description="Seconds without a record or a heartbeat after which a symbol is stale."
        )

    async def recent(readers: Readers, interval: str) -> list[JsonRow]:
        """Each symbol's last whole candle and the forming one as one row."""
        kinds = [f"closed-candle:{interval}", f"candle:{interval}"]
        found = await readers.newest(settings.symbols, kinds)
        return [both for symbol in settings.symbols if (both := _together(symbol, found.symbols[symbol], interval))]

    @router.get("/summary", response_model=MarketSummary, responses=responses(400, 501, 503))
    async def market_summary(readers: Asked, query: Annotated[SummaryQuery, Query()]) -> Response:
        """The whole market: what was traded, how many symbols rose and fell, and each of them."""
        rows = await recent(readers, query.interval)
        changes = [row["price_change"] for row in rows]
        totals = {name: sum(row[name] for row in rows) for name in ("trades", "quote_volume")}
        rising = {"rising": sum(change > 0 for change in changes), "falling": sum(change < 0 for change in changes)}
        now = iso(datetime.now(UTC))
        return answer({"time": now, "interval": query.interval, **totals, **rising, "symbols": rows})

    def ranked(path: str, measure: str, words: str) -> None:
        async def top(readers: Asked, query: Annotated[RankQuery, Query()]) -> Response:
            rows = sorted(await recent(readers, query.interval), key=lambda row: row[measure], reverse=True)
            return answer({"interval": query.interval, "by": measure, "symbols": rows[: query.limit]})

        top.__name__, top.__doc__ = path.replace("-", "_"), words
        router.get(f"/{path}", response_model=Ranking, responses=responses(400, 501, 503))(top)

    ranked("top-by-trades", "trades", "The symbols with the most trades, the first one first.")
    ranked("top-by-volume", "quote_volume", "The symbols with the highest volume in quote units, the first one first.")

    @router.get("/ticker-health", response_model=TickerHealth, responses=responses(400, 501, 503))
    async def ticker_health(readers: Asked, query: Annotated[HealthQuery, Query()]) -> Response:
        """Whether each symbol is alive: how old its newest records are, and when anything of it was received."""
        newest, seen = await readers.newest(settings.symbols, kinds), await readers.seen(settings.symbols)
        now = datetime.now(UTC)
        rows = [
            _alive(symbol, newest.symbols[symbol], seen.get(symbol), now, query.stale_after)
            for symbol in settings.symbols
        ]
        return answer({"time": iso(now), "stale_after": query.stale_after, "symbols": rows})

    return router, shortcut


def _together(symbol: str, newest: NewestRecords, interval: str) -> JsonRow | None:
    """The last whole candle and the one that forms as one; None where there is neither."""
    whole, forming = newest.get(f"closed-candle:{interval}"), newest.get(f"candle:{interval}")
    found = [candle for candle in (whole, forming) if isinstance(candle, Candle)]
    if len(found) == 2 and found[0].open_time >= found[1].open_time:
        found = found[:1]
    if not found:
        return None
    first, last = found[0], found[-1]
    return {
        "symbol": symbol,
        "since": json_of(first)["open_time"],
        "open": first.open,
        "high": max(candle.high for candle in found),
        "low": min(candle.low for candle in found),
        "close": last.close,
        "price_change": last.close / first.open - 1,
        **{name: sum(getattr(candle, name) for candle in found) for name in ("volume", "quote_volume", "trades")},
    }


def _alive(symbol: str, newest: NewestRecords, seen: int | None, now: datetime, stale_after: int) -> JsonRow:
    """How old the newest trade, book and candle are, and the last record or heartbeat of all."""
    received = {kind: json_of(record)["receive_time"] for kind, record in newest.items()}
    candles = max((moment for kind, moment in received.items() if kind.startswith("candle:")), default=None)
    ages = [age_ms(moment, now) for moment in received.values()]
    if seen is not None:
        ages.append(round(now.timestamp() * 1_000) - seen // 1_000)
    age = min((age for age in ages if age is not None), default=None)
    status = "unknown" if age is None else "live" if age <= stale_after * 1_000 else "stale"
    return {
        "symbol": symbol,
        "status": status,
        "trade_age_ms": age_ms(received.get("trade"), now),
        "book_age_ms": age_ms(received.get("book"), now),
        "candle_age_ms": age_ms(candles, now),
        "seen_age_ms": age,
    }


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
