"""Binance's public REST answers, built from what the market is asked for: JSON, weights and errors as there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from marketpipeline.exchange.candles import INTERVALS, Candle, candles
from marketpipeline.exchange.events import AggTrade, Trade
from marketpipeline.exchange.protocols.base import Answer, MarketView

__all__ = ["answer", "limited", "weight"]

BASE = "/api/v3"
_QUOTE_ASSETS = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "BTC", "ETH", "BNB", "EUR", "TRY", "USD")


class _Refused(Exception):
    """A request that gets an error answer."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.answer = Answer(status, msgspec.json.encode({"code": code, "msg": message}))


@dataclass(frozen=True, slots=True)
class _Request:
    """One request and what it is answered from; times in answers are divided by `unit`."""

    query: Mapping[str, str]
    market: MarketView
    now: int
    unit: int

    def symbol(self) -> str:
        name = self.query.get("symbol")
        if not name:
            raise _Refused(400, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum() or name != name.upper():
            message = "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'."
            raise _Refused(400, -1100, message)
        if name not in self.market.symbols():
            raise _Refused(400, -1121, "Invalid symbol.")
        return name

    def symbols(self) -> list[str] | None:
        """The symbols of `symbol` or `symbols`; None when the request names none."""
        if "symbol" in self.query and "symbols" in self.query:
            raise _Refused(400, -1128, "Combination of optional parameters invalid.")
        if "symbol" in self.query:
            return [self.symbol()]
        if "symbols" not in self.query:
            return None
        try:
            names = msgspec.json.decode(self.query["symbols"].encode(), type=list[str])
        except msgspec.DecodeError as error:
            legal = '^\\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\\]$'
            message = f"Illegal characters found in parameter 'symbols'; legal range is '{legal}'."
            raise _Refused(400, -1100, message) from error
        if not set(names) <= set(self.market.symbols()):
            raise _Refused(400, -1121, "Invalid symbol.")
        return names

    def number(self, name: str, default: int | None) -> int | None:
        text = self.query.get(name)
        if text is None:
            return default
        if not text.isdigit():
            message = f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
            raise _Refused(400, -1100, message)
        return int(text)

    def limit(self, default: int, most: int) -> int:
        limit = self.number("limit", default)
        if not limit:
            raise _Refused(400, -1102, "Mandatory parameter 'limit' was not sent, was empty/null, or malformed.")
        return min(limit, most)

    def instant(self, name: str) -> int | None:
        """A time parameter in microseconds; both units are accepted, as there."""
        value = self.number(name, None)
        return None if value is None else value if value >= 10**15 else value * 1000


def answer(path: str, query: Mapping[str, str], microseconds: bool, market: MarketView, now: int) -> Answer:
    """See `WireProtocol.answer`."""
    handler = _ROUTES.get(path.removeprefix(BASE)) if path.startswith(BASE) else None
    if handler is None:
        return Answer(404, b"<html><body><h2>404 Not found</h2></body></html>", {"Content-Type": "text/html"})
    request = _Request(query, market, now, 1 if microseconds else 1000)
    try:
        body = handler(request)
    except _Refused as refused:
        return refused.answer
    snapshot_of = query.get("symbol", "") if path == f"{BASE}/depth" else ""
    return Answer(200, msgspec.json.encode(body), snapshot_of=snapshot_of)


def weight(path: str, query: Mapping[str, str]) -> int:
    """See `WireProtocol.weight`."""
    name = path.removeprefix(BASE)
    if name == "/depth":
        limit = int(query["limit"]) if query.get("limit", "").isdigit() else 100
        return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250
    if name in ("/ticker/24hr", "/ticker/bookTicker"):
        single = "symbol" in query
        return {"/ticker/24hr": (2, 80), "/ticker/bookTicker": (2, 4)}[name][0 if single else 1]
    return {"/exchangeInfo": 20, "/trades": 25, "/historicalTrades": 25, "/aggTrades": 4, "/klines": 2}.get(name, 1)


def limited(banned: bool, retry_after: int, now: int) -> Answer:
    """See `WireProtocol.limited`."""
    until = now // 1000 + retry_after * 1000
    message = (
        f"Way too much request weight used; IP banned until {until}. Please use WebSocket Streams for live updates "
        "to avoid bans."
        if banned
        else "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. Please use WebSocket "
        "Streams for live updates to avoid polling the API."
    )
    body = msgspec.json.encode({"code": -1003, "msg": message})
    return Answer(418 if banned else 429, body, {"Retry-After": str(retry_after)})


def _ping(request: _Request) -> Any:
    return {}


def _time(request: _Request) -> Any:
    return {"serverTime": request.now // request.unit}


def _exchange_info(request: _Request) -> Any:
    names = request.symbols()
    listed = list(request.market.symbols()) if names is None else names
    return {
        "timezone": "UTC",
        "serverTime": request.now // request.unit,
        "rateLimits": [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}],
        "exchangeFilters": [],
        "symbols": [_symbol_info(name) for name in listed],
    }


def _symbol_info(name: str) -> dict[str, Any]:
    quote = next((asset for asset in _QUOTE_ASSETS if name.endswith(asset) and name != asset), name[-3:])
    return {
        "symbol": name,
        "status": "TRADING",
        "baseAsset": name[: -len(quote)],
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [],
        "permissions": [],
        "permissionSets": [["SPOT"]],
    }


def _depth(request: _Request) -> Any:
    symbol = request.symbol()
    book = request.market.depth(symbol, request.limit(100, 5000))
    return {"lastUpdateId": book.last_id, "bids": book.bids, "asks": book.asks}


def _trades(request: _Request) -> Any:
    symbol, limit = request.symbol(), request.limit(500, 1000)
    return [_trade(trade, request.unit) for trade in request.market.trades(symbol, None, limit)]


def _historical_trades(request: _Request) -> Any:
    symbol, limit = request.symbol(), request.limit(500, 1000)
    from_id = request.number("fromId", None)
    return [_trade(trade, request.unit) for trade in request.market.trades(symbol, from_id, limit)]


def _trade(trade: Trade, unit: int) -> dict[str, Any]:
    return {
        "id": trade.trade_id,
        "price": trade.price,
        "qty": trade.quantity,
        "quoteQty": f"{Decimal(trade.price) * Decimal(trade.quantity):.8f}",
        "time": trade.time // unit,
        "isBuyerMaker": trade.buyer_is_maker,
        "isBestMatch": True,
    }


def _agg_trades(request: _Request) -> Any:
    symbol, limit = request.symbol(), request.limit(500, 1000)
    trades = request.market.agg_trades(symbol, request.number("fromId", None), limit)
    return [_agg_trade(trade, request.unit) for trade in trades]


def _agg_trade(trade: AggTrade, unit: int) -> dict[str, Any]:
    return {
        "a": trade.agg_trade_id,
        "p": trade.price,
        "q": trade.quantity,
        "f": trade.first_trade_id,
        "l": trade.last_trade_id,
        "T": trade.time // unit,
        "m": trade.buyer_is_maker,
        "M": True,
    }


def _klines(request: _Request) -> Any:
    symbol, limit = request.symbol(), request.limit(500, 1000)
    interval = INTERVALS.get(request.query.get("interval", ""))
    if interval is None:
        raise _Refused(400, -1120, "Invalid interval.")
    start, end = request.instant("startTime"), request.instant("endTime")
    known = request.market.trades(symbol, 0, 1 << 62)
    rows = [
        candle
        for candle in candles(known, interval)
        if (start is None or candle.open_time >= start) and (end is None or candle.open_time <= end)
    ]
    chosen = rows[:limit] if start is not None else rows[-limit:]
    return [_kline(candle, request.unit) for candle in chosen]


def _kline(candle: Candle, unit: int) -> list[Any]:
    return [
        candle.open_time // unit,
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        f"{candle.volume:.8f}",
        (candle.close_time - 1) // unit,
        f"{candle.quote_volume:.8f}",
        candle.trades,
        f"{candle.taker_buy_volume:.8f}",
        f"{candle.taker_buy_quote_volume:.8f}",
        "0",
    ]


def _ticker(request: _Request) -> Any:
    return _per_symbol(request, _ticker_of)


def _ticker_of(request: _Request, symbol: str) -> dict[str, Any]:
    trades = request.market.trades(symbol, 0, 1 << 62)
    day = [trade for trade in trades if trade.time > request.now - 86_400_000_000]
    quote = request.market.quote(symbol)
    zero = "0.00000000"
    row = {"symbol": symbol}
    whole = candles(day, 1 << 62)
    if whole:
        candle, last = whole[0], day[-1]
        change = Decimal(candle.close) - Decimal(candle.open)
        row |= {
            "priceChange": f"{change:.8f}",
            "priceChangePercent": f"{change / Decimal(candle.open) * 100:.3f}",
            "weightedAvgPrice": f"{candle.quote_volume / candle.volume:.8f}",
            "lastPrice": candle.close,
            "lastQty": last.quantity,
            "openPrice": candle.open,
            "highPrice": candle.high,
            "lowPrice": candle.low,
            "volume": f"{candle.volume:.8f}",
            "quoteVolume": f"{candle.quote_volume:.8f}",
        }
    numbers = {
        "openTime": (day[0].time if day else request.now) // request.unit,
        "closeTime": request.now // request.unit,
        "firstId": day[0].trade_id if day else -1,
        "lastId": day[-1].trade_id if day else -1,
        "count": len(day),
    }
    return row | _best(quote, zero) | numbers


def _best(quote: Any, zero: str) -> dict[str, Any]:
    return {
        "bidPrice": quote.bid_price if quote else zero,
        "bidQty": quote.bid_quantity if quote else zero,
        "askPrice": quote.ask_price if quote else zero,
        "askQty": quote.ask_quantity if quote else zero,
    }


def _book_ticker(request: _Request) -> Any:
    return _per_symbol(
        request, lambda request, symbol: {"symbol": symbol} | _best(request.market.quote(symbol), "0.00000000")
    )


def _per_symbol(request: _Request, one: Callable[[_Request, str], dict[str, Any]]) -> Any:
    if "symbol" in request.query and "symbols" not in request.query:
        return one(request, request.symbol())
    names = request.symbols()
    return [one(request, name) for name in (request.market.symbols() if names is None else names)]


_ROUTES: dict[str, Callable[[_Request], Any]] = {
    "/ping": _ping,
    "/time": _time,
    "/exchangeInfo": _exchange_info,
    "/depth": _depth,
    "/trades": _trades,
    "/historicalTrades": _historical_trades,
    "/aggTrades": _agg_trades,
    "/klines": _klines,
    "/ticker/24hr": _ticker,
    "/ticker/bookTicker": _book_ticker,
}
