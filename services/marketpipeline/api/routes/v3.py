"""`/api/v3`: symbols, candles, statistics of 24 hours and books in the form that Binance's API has, for its clients.

A symbol of any exchange is asked for by its name without signs (`BTCUSDT` finds `BTC-USDT` too), where only one
exchange has it, else in full; answers name it so. Numbers are text, times milliseconds, errors `{"code", "msg"}`, as
there; parameters that mean nothing here are left out of account. Annotations are not postponed: FastAPI reads them.
"""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from marketpipeline.api.books import Books
from marketpipeline.api.parameters import Asked, FromOneTo, OneOf, Optional, answer
from marketpipeline.readers import HistoryQuery, NewestRecords, Readers, Span
from marketpipeline.readers.asking import find_symbol
from marketpipeline.records import Book, BookMetrics, Candle, Quote, Ticker
from marketpipeline.schema import microseconds
from marketpipeline.settings import ApiSettings
from marketpipeline.store import table_of
from marketpipeline.store.rows import JsonRow, record_of
from marketpipeline.venues import split_symbol

__all__ = ["assets", "kline", "make_router", "of_candles", "of_ticker"]

_CANDLES = table_of("candles")
_MOST, _USUAL = 1_000, 500
_MOST_LEVELS, _USUAL_LEVELS = 5_000, 100
_DAY, _HOUR = timedelta(days=1), 3_600_000_000
_SIGNS = re.compile(r"[^A-Z0-9]")
_QUOTES = (
    "USDT",
    "USDC",
    "FDUSD",
    "TUSD",
    "BUSD",
    "DAI",
    "USD",
    "EUR",
    "TRY",
    "BRL",
    "JPY",
    "GBP",
    "BTC",
    "ETH",
    "BNB",
)
"""Currencies that symbols without a sign end with; of two that fit the first counts."""
_STEP, _MOST_ASKED = "0.00000001", "1000000000.00000000"


def _moment(value: Any) -> datetime:
    if not re.fullmatch("[0-9]{1,15}", str(value), re.ASCII) or int(value) > _LATEST:
        raise ValueError("must be milliseconds since 1970")
    return _EPOCH + timedelta(milliseconds=int(value))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253_402_300_000_000
_TIME_SCHEMA: Any = {"type": "integer", "minimum": 0, "maximum": _LATEST}
_Milliseconds = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema(_TIME_SCHEMA)]


class _Lenient(BaseModel):
    """Parameters; what else a client sends is left out of account."""

    model_config = ConfigDict(extra="ignore")


def make_router(settings: ApiSettings) -> APIRouter:
    """The paths, for the symbols and candles of these settings."""
    router = APIRouter(prefix="/api/v3", tags=["v3"])
    plain: dict[str, list[str]] = {}
    for symbol in settings.symbols:
        plain.setdefault(_SIGNS.sub("", split_symbol(symbol)[1].upper()), []).append(symbol)

    def known(text: Any) -> str:
        same = plain.get(str(text).upper(), [])
        return same[0] if len(same) == 1 else find_symbol(str(text), settings.symbols)

    def told(symbol: str) -> str:
        """The name by which it is asked for."""
        plain_name = _SIGNS.sub("", split_symbol(symbol)[1].upper())
        try:
            return plain_name if known(plain_name) == symbol else symbol
        except ValueError:
            return symbol

    name_of = {symbol: told(symbol) for symbol in settings.symbols}
    symbol_type = Annotated[str, BeforeValidator(known)]

    class KlinesQuery(_Lenient):
        """Candles of a symbol."""

        symbol: symbol_type = Field(description="Name without signs, or in full.", examples=["BTCUSDT"])
        interval: Annotated[str, OneOf("interval", settings.windows)] = Field(description="Length of a candle.")
        start: _Milliseconds | Optional = Field(None, alias="startTime", description="First time of opening.")
        end: _Milliseconds | Optional = Field(None, alias="endTime", description="Last time of opening, included.")
        limit: Annotated[int, FromOneTo(_MOST)] = Field(_USUAL, description="Most rows.")

    class TickerQuery(_Lenient):
        """One symbol, or all."""

        symbol: symbol_type | Optional = Field(None, description="All without it.", examples=["BTCUSDT"])

    class DepthQuery(_Lenient):
        """The book of a symbol."""

        symbol: symbol_type = Field(description="Name without signs, or in full.", examples=["BTCUSDT"])
        limit: Annotated[int, FromOneTo(_MOST_LEVELS)] = Field(_USUAL_LEVELS, description="Most levels of a side.")

    @router.get("/ping")
    async def ping() -> Response:
        """Whether it answers."""
        return answer({})

    @router.get("/time")
    async def server_time() -> Response:
        """The time here."""
        return answer({"serverTime": time.time_ns() // 1_000_000})

    @router.get("/exchangeInfo")
    async def exchange_info(query: Annotated[_Lenient, Query()]) -> Response:
        """What can be asked for, as clients load it before anything else."""
        listed = [_listed(name_of[symbol], split_symbol(symbol)[1]) for symbol in settings.symbols]
        now = time.time_ns() // 1_000_000
        return answer(
            {"timezone": "UTC", "serverTime": now, "rateLimits": [], "exchangeFilters": [], "symbols": listed}
        )

    @router.get("/klines", responses=_RESPONSES)
    async def klines(readers: Asked, query: Annotated[KlinesQuery, Query()]) -> Response:
        """Candles in order of time. The taker's quote volume is its base volume at the candle's VWAP."""
        until = None if query.end is None else query.end + timedelta(milliseconds=1)
        if query.start is not None and until is not None and until <= query.start:
            return answer([])
        filters = {"symbol": query.symbol, "interval": query.interval}
        rows = await readers.rows(HistoryQuery(_CANDLES, filters, Span(query.start, until, query.limit)))
        return answer([kline(row) for row in rows])

    @router.get("/ticker/24hr", responses=_RESPONSES)
    async def ticker(readers: Asked, query: Annotated[TickerQuery, Query()]) -> Response:
        """Statistics of 24 hours: the exchange's own where that feed is on, else those of the stored candles."""
        symbols = settings.symbols if query.symbol is None else [query.symbol]
        newest = (await readers.newest(symbols, ["ticker", "quote", "book", "trade"])).symbols
        lacking = [symbol for symbol in symbols if "ticker" not in newest[symbol]]
        candles = await _day(readers, lacking, settings.windows)
        found = [_statistics(name_of[symbol], newest[symbol], candles.get(symbol, [])) for symbol in symbols]
        return answer(found if query.symbol is None else found[0])

    @router.get("/depth", responses=_RESPONSES)
    async def depth(request: Request, readers: Asked, query: Annotated[DepthQuery, Query()]) -> Response:
        """The newest book as the exchange sent it; the best bid and ask alone where the broker does not give it."""
        books: Books = request.app.state.books
        book = await books.of(query.symbol)
        if book is None:
            newest = (await readers.newest([query.symbol], ["quote", "book"])).symbols[query.symbol]
            return answer(_top(newest))
        return answer(_depth(book, query.limit))

    return router


_ERROR = {"application/json": {"example": {"code": -1121, "msg": "symbol: unknown symbol"}}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"description": "A parameter is wrong.", "content": _ERROR},
    "default": {"description": "Any other problem.", "content": _ERROR},
}


def assets(symbol: str) -> tuple[str, str]:
    """Base and quote of an exchange's symbol: by its first sign, else by the currency that it ends with."""
    parts = [part for part in _SIGNS.split(symbol.upper()) if part]
    if len(parts) > 1:
        return parts[0], parts[1]
    name = parts[0] if parts else symbol
    quote = next((quote for quote in _QUOTES if name.endswith(quote) and name != quote), name[-3:])
    return name.removesuffix(quote), quote


def _listed(name: str, symbol: str) -> JsonRow:
    """A symbol as it is listed. Nothing is traded here, so that its steps are the finest there are."""
    base, quote = assets(symbol)
    return {
        "symbol": name, "status": "TRADING", "baseAsset": base, "quoteAsset": quote, "baseAssetPrecision": 8,
        "quotePrecision": 8, "quoteAssetPrecision": 8, "orderTypes": [], "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False, "permissions": [], "permissionSets": [["SPOT"]],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": _STEP, "maxPrice": _MOST_ASKED, "tickSize": _STEP},
            {"filterType": "LOT_SIZE", "minQty": _STEP, "maxQty": _MOST_ASKED, "stepSize": _STEP},
        ],
    }  # fmt: skip


def kline(row: JsonRow) -> list[Any]:
    """A candle as a row of Binance's."""
    taker_quote = row["taker_buy_volume"] * row["vwap"]
    prices = (row["open"], row["high"], row["low"], row["close"], row["volume"])
    return [
        _milliseconds(row["open_time"]), *map(_text, prices),
        _milliseconds(row["close_time"]) - 1, _text(row["quote_volume"]), row["trades"],
        _text(row["taker_buy_volume"]), _text(taker_quote), "0",
    ]  # fmt: skip


def _statistics(name: str, newest: NewestRecords, candles: Sequence[Candle]) -> JsonRow:
    ticker = newest.get("ticker")
    found = of_ticker(ticker) if isinstance(ticker, Ticker) else of_candles(candles)
    best = _best(newest)
    names = {"bidPrice": best[0][0], "bidQty": best[0][1], "askPrice": best[1][0], "askQty": best[1][1]} if best else {}
    return {
        "symbol": name,
        **found,
        **{k: _text(v) for k, v in names.items()},
    }


def of_ticker(ticker: Ticker) -> JsonRow:
    """The exchange's own statistics."""
    end = (ticker.event_time or ticker.receive_time) // 1_000
    prices = {
        "priceChange": ticker.last_price - ticker.open, "priceChangePercent": ticker.price_change * 100,
        "weightedAvgPrice": ticker.vwap or 0.0, "prevClosePrice": ticker.open, "lastPrice": ticker.last_price,
        "lastQty": ticker.last_quantity, "bidPrice": ticker.bid_price, "bidQty": ticker.bid_quantity,
        "askPrice": ticker.ask_price, "askQty": ticker.ask_quantity, "openPrice": ticker.open, "highPrice": ticker.high,
        "lowPrice": ticker.low, "volume": ticker.volume, "quoteVolume": ticker.quote_volume or 0.0,
    }  # fmt: skip
    times = {"openTime": end - 86_400_000, "closeTime": end, "firstId": -1, "lastId": -1, "count": ticker.trades or 0}
    return {name: _text(value) for name, value in prices.items()} | times


def of_candles(candles: Sequence[Candle]) -> JsonRow:
    """The same from candles of 24 hours in order of time; zeros where there is none."""
    volume, quote = sum(c.volume for c in candles), sum(c.quote_volume for c in candles)
    first, last = (candles[0].open, candles[-1].close) if candles else (0.0, 0.0)
    prices = {
        "priceChange": last - first, "priceChangePercent": (last / first - 1) * 100 if first else 0.0,
        "weightedAvgPrice": quote / volume if volume else 0.0, "prevClosePrice": first, "lastPrice": last,
        "lastQty": 0.0, "bidPrice": 0.0, "bidQty": 0.0, "askPrice": 0.0, "askQty": 0.0, "openPrice": first,
        "highPrice": max((c.high for c in candles), default=0.0),
        "lowPrice": min((c.low for c in candles), default=0.0),
        "volume": volume, "quoteVolume": quote,
    }  # fmt: skip
    times = {
        "openTime": candles[0].open_time // 1_000 if candles else 0,
        "closeTime": candles[-1].receive_time // 1_000 if candles else 0,
        "firstId": candles[0].first_trade_id if candles else -1,
        "lastId": candles[-1].last_trade_id if candles else -1,
        "count": sum(c.trades for c in candles),
    }
    return {name: _text(value) for name, value in prices.items()} | times


async def _day(readers: Readers, symbols: Sequence[str], windows: Sequence[str]) -> Mapping[str, list[Candle]]:
    """The candles of the last 24 hours, of the longest interval up to an hour."""
    short = [window for window in windows if microseconds(window) <= _HOUR]
    if not symbols or not short:
        return {}
    filters = {"symbol": list(symbols), "interval": max(short, key=microseconds)}
    found: dict[str, list[Candle]] = {}
    async for batch in readers.history(HistoryQuery(_CANDLES, filters, Span(since=datetime.now(UTC) - _DAY))):
        for row in batch:
            record: Any = record_of(_CANDLES, row)
            found.setdefault(record.symbol, []).append(record)
    return found


def _best(newest: NewestRecords) -> tuple[tuple[float, float], tuple[float, float]] | None:
    quote, book = newest.get("quote"), newest.get("book")
    if isinstance(quote, Quote) and not (isinstance(book, BookMetrics) and book.receive_time > quote.receive_time):
        return (quote.bid_price, quote.bid_quantity), (quote.ask_price, quote.ask_quantity)
    if isinstance(book, BookMetrics):
        return (book.best_bid, book.best_bid_quantity), (book.best_ask, book.best_ask_quantity)
    return None


def _depth(book: Book, limit: int) -> JsonRow:
    sides = {"bids": book.bids, "asks": book.asks}
    levels = {
        name: [[_text(price), _text(quantity)] for price, quantity in side[:limit]] for name, side in sides.items()
    }
    return {"lastUpdateId": book.update_id, **levels}


def _top(newest: NewestRecords) -> JsonRow:
    best = _best(newest)
    records = [
        record for record in (newest.get("quote"), newest.get("book")) if isinstance(record, Quote | BookMetrics)
    ]
    number = max((record.update_id for record in records), default=0)
    levels = [[[_text(price), _text(quantity)]] for price, quantity in best] if best else [[], []]
    return {"lastUpdateId": number, "bids": levels[0], "asks": levels[1]}


def _milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


def _text(number: float) -> str:
    """Eight decimals, as Binance writes them; more where a price has them."""
    text = f"{number:.8f}"
    return text if float(text) == number or abs(number) >= 1e-4 else f"{number:.16f}"
