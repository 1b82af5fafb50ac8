"""Binance's public REST interface: which request gets which answer, what it costs, and what refuses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec

from marketpipeline.simulator.candles import INTERVALS, Candle, candles
from marketpipeline.simulator.events import AggTrade, Trade
from marketpipeline.simulator.protocols.base import Answer, MarketView
from marketpipeline.simulator.protocols.binance.requests import Refused, Request

__all__ = ["answer", "limited", "weight"]

BASE = "/api/v3"

_QUOTE_ASSETS = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "BTC", "ETH", "BNB", "EUR", "TRY", "USD")


def _ping(request: Request) -> Any:
    return {}


def _time(request: Request) -> Any:
    return {"serverTime": request.now // request.unit}


def _exchange_info(request: Request) -> Any:
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


def _depth(request: Request) -> Any:
    symbol = request.symbol()
    book = request.market.depth(symbol, request.limit(100, 5000))
    return {"lastUpdateId": book.last_id, "bids": book.bids, "asks": book.asks}


def _trades(request: Request) -> Any:
    symbol, limit = request.symbol(), request.limit(500, 1000)
    return [_trade(trade, request.unit) for trade in request.market.trades(symbol, None, limit)]


def _historical_trades(request: Request) -> Any:
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


def _agg_trades(request: Request) -> Any:
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


def _klines(request: Request) -> Any:
    symbol, limit = request.symbol(), request.limit(500, 1000)
    interval = INTERVALS.get(request.query.get("interval", ""))
    if interval is None:
        raise Refused(400, -1120, "Invalid interval.")
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


def _ticker(request: Request) -> Any:
    return _per_symbol(request, _ticker_of)


def _ticker_of(request: Request, symbol: str) -> dict[str, Any]:
    day, last = request.market.day(symbol), request.market.trades(symbol, None, 1)
    quote = request.market.quote(symbol)
    row: dict[str, Any] = {"symbol": symbol}
    if day is not None:
        change = Decimal(day.close) - Decimal(day.open)
        row |= {
            "priceChange": f"{change:.8f}",
            "priceChangePercent": f"{change / Decimal(day.open) * 100:.3f}",
            "weightedAvgPrice": f"{day.quote_volume / day.volume:.8f}",
            "lastPrice": day.close,
            "lastQty": last[-1].quantity,
            "openPrice": day.open,
            "highPrice": day.high,
            "lowPrice": day.low,
            "volume": f"{day.volume:.8f}",
        }
    numbers = {
        "quoteVolume": f"{request.market.quote_volume(symbol):.8f}",
        "openTime": (request.now - 86_400_000_000) // request.unit,
        "closeTime": request.now // request.unit,
        "firstId": -1 if day is None else day.first_trade_id,
        "lastId": -1 if day is None else day.last_trade_id,
        "count": 0 if day is None else day.trades,
    }
    return row | _best(quote, "0.00000000") | numbers


def _best(quote: Any, zero: str) -> dict[str, Any]:
    return {
        "bidPrice": quote.bid_price if quote else zero,
        "bidQty": quote.bid_quantity if quote else zero,
        "askPrice": quote.ask_price if quote else zero,
        "askQty": quote.ask_quantity if quote else zero,
    }


def _book_ticker(request: Request) -> Any:
    return _per_symbol(
        request, lambda request, symbol: {"symbol": symbol} | _best(request.market.quote(symbol), "0.00000000")
    )


def _per_symbol(request: Request, one: Callable[[Request, str], dict[str, Any]]) -> Any:
    if "symbol" in request.query and "symbols" not in request.query:
        return one(request, request.symbol())
    names = request.symbols()
    return [one(request, name) for name in (request.market.symbols() if names is None else names)]


_ROUTES: Mapping[str, Callable[[Request], Any]] = MappingProxyType(
    {
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
)
"""The answer to each path below the base."""


def answer(path: str, query: Mapping[str, str], microseconds: bool, market: MarketView, now: int) -> Answer:
    """See `WireProtocol.answer`."""
    handler = _ROUTES.get(path.removeprefix(BASE)) if path.startswith(BASE) else None
    if handler is None:
        return Answer(404, b"<html><body><h2>404 Not found</h2></body></html>", {"Content-Type": "text/html"})
    request = Request(query, market, now, 1 if microseconds else 1000)
    try:
        body = handler(request)
    except Refused as refused:
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
