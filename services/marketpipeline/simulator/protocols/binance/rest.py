"""Binance's public REST interface: which request gets which answer, what it costs, and what refuses it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from marketpipeline.simulator.protocols.base import Answer, MarketView
from marketpipeline.simulator.protocols.binance.answers import ROUTES
from marketpipeline.simulator.protocols.binance.requests import Refused, Request

__all__ = ["answer", "limited", "weight"]

BASE = "/api/v3"


def answer(path: str, query: Mapping[str, str], microseconds: bool, market: MarketView, now: int) -> Answer:
    """See `WireProtocol.answer`."""
    handler = ROUTES.get(path.removeprefix(BASE)) if path.startswith(BASE) else None
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
