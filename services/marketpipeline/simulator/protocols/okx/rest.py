"""OKX's public REST interface: which request gets which answer, what it costs, and what refuses it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from marketpipeline.simulator.events import Trade
from marketpipeline.simulator.protocols.base import Answer, MarketView
from marketpipeline.simulator.protocols.okx.instruments import sizes_of

__all__ = ["answer", "limited", "weight"]

BASE = "/api/v5"
_KINDS = ("SPOT", "SWAP", "FUTURES", "OPTION", "MARGIN")
_WEIGHTS = {
    "/public/time": 4,
    "/public/instruments": 2,
    "/market/tickers": 2,
    "/market/history-trades": 2,
    "/market/books": 1,
}


class _Refused(Exception):
    def __init__(self, code: str, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.answer = _answer(code, message, [], status)


def answer(path: str, query: Mapping[str, str], market: MarketView, now: int) -> Answer:
    """See `WireProtocol.answer`; `now` in microseconds."""
    handlers = {
        "/public/time": _time,
        "/public/instruments": _instruments,
        "/market/books": _books,
        "/market/tickers": _tickers,
        "/market/trades": _trades,
        "/market/history-trades": _history,
    }
    handler = handlers.get(path.removeprefix(BASE)) if path.startswith(BASE) else None
    if handler is None:
        return _answer("404", "Not Found", [], 404)
    try:
        return _answer("0", "", handler(query, market, now), snapshot_of=query.get("instId", "") * (handler is _books))
    except _Refused as refused:
        return refused.answer


def _time(query: Mapping[str, str], market: MarketView, now: int) -> list[Any]:
    return [{"ts": str(now // 1000)}]


def _of_kind(query: Mapping[str, str], market: MarketView) -> list[str]:
    kind = query.get("instType", "")
    if not kind:
        raise _Refused("50014", "Parameter instType can not be empty.", 400)
    if kind not in _KINDS:
        raise _Refused("51000", "Parameter instType error", 400)
    return [name for name in market.symbols() if sizes_of(name).kind == kind]


def _tickers(query: Mapping[str, str], market: MarketView, now: int) -> list[Any]:
    return [_ticker(name, market, now) for name in _of_kind(query, market)]


def _ticker(name: str, market: MarketView, now: int) -> dict[str, Any]:
    """`volCcy24h` is in the quote currency of spot, in the base currency of contracts. Its volumes are of base units
    here, as all that the market tells."""
    day, quote, volume = market.day(name), market.quote(name), market.quote_volume(name)
    last = day.close if day is not None else quote.bid_price if quote is not None else ""
    price = Decimal(last) if last else Decimal(0)
    in_base = volume / price if price else Decimal(0)
    contract = sizes_of(name).kind != "SPOT"
    return {
        "instType": sizes_of(name).kind,
        "instId": name,
        "last": last,
        "lastSz": "",
        "askPx": quote.ask_price if quote else "",
        "askSz": quote.ask_quantity if quote else "",
        "bidPx": quote.bid_price if quote else "",
        "bidSz": quote.bid_quantity if quote else "",
        "open24h": "" if day is None else day.open,
        "high24h": "" if day is None else day.high,
        "low24h": "" if day is None else day.low,
        "vol24h": f"{in_base:f}",
        "volCcy24h": f"{in_base if contract else volume:f}",
        "ts": str(now // 1000),
    }


def _instruments(query: Mapping[str, str], market: MarketView, now: int) -> list[Any]:
    found = _of_kind(query, market)
    if "instId" in query:
        _name(query, market)
        found = [name for name in found if name == query["instId"]]
    return [_instrument(name) for name in found]


def _instrument(name: str) -> dict[str, Any]:
    sizes = sizes_of(name)
    contract = sizes.kind != "SPOT"
    return {
        "instType": sizes.kind,
        "instId": name,
        "uly": f"{sizes.base}-{sizes.quote}" if contract else "",
        "instFamily": f"{sizes.base}-{sizes.quote}" if contract else "",
        "baseCcy": "" if contract else sizes.base,
        "quoteCcy": "" if contract else sizes.quote,
        "settleCcy": (sizes.base if sizes.inverse else sizes.quote) if contract else "",
        "ctVal": f"{sizes.value:f}" if contract else "",
        "ctMult": "1" if contract else "",
        "ctValCcy": sizes.currency if contract else "",
        "ctType": ("inverse" if sizes.inverse else "linear") if contract else "",
        "state": "live",
    }


def _books(query: Mapping[str, str], market: MarketView, now: int) -> list[Any]:
    book = market.depth(_name(query, market), _limit(query, "sz", 1, 400))
    sides = {
        side: [[price, size, "0", "1"] for price, size in levels]
        for side, levels in (("asks", book.asks), ("bids", book.bids))
    }
    return [sides | {"ts": str(now // 1000), "seqId": book.last_id}]


def _trades(query: Mapping[str, str], market: MarketView, now: int) -> list[Any]:
    found = market.trades(_name(query, market), None, _limit(query, "limit", 100, 500))
    return [_trade(query["instId"], trade) for trade in reversed(found)]


def _history(query: Mapping[str, str], market: MarketView, now: int) -> list[Any]:
    """The newest first: those before the id `after`, else those after `before`, else simply the newest."""
    name, limit = _name(query, market), _limit(query, "limit", 100, 100)
    after, before = query.get("after", ""), query.get("before", "")
    if not (after.isdigit() or not after) or not (before.isdigit() or not before):
        raise _Refused("51000", "Parameter after error", 400)
    if after:
        end = int(after)
        newest = market.trades(name, None, 1)
        end = min(end, newest[-1].trade_id + 1) if newest else end
        found = [trade for trade in market.trades(name, end - limit, limit) if trade.trade_id < end]
    else:
        found = market.trades(name, None, limit)
        found = [trade for trade in found if not before or trade.trade_id > int(before)]
    return [_trade(name, trade) for trade in reversed(found)]


def _trade(name: str, trade: Trade) -> dict[str, Any]:
    return {
        "instId": name,
        "side": "sell" if trade.buyer_is_maker else "buy",
        "sz": trade.quantity,
        "source": "0",
        "px": trade.price,
        "tradeId": str(trade.trade_id),
        "ts": str(trade.time // 1000),
    }


def _name(query: Mapping[str, str], market: MarketView) -> str:
    name = query.get("instId", "")
    if not name:
        raise _Refused("50014", "Parameter instId can not be empty.", 400)
    if name not in market.symbols():
        raise _Refused("51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
    return name


def _limit(query: Mapping[str, str], field: str, default: int, most: int) -> int:
    text = query.get(field, str(default))
    if not text.isdigit() or not int(text):
        raise _Refused("51000", f"Parameter {field} error", 400)
    return min(int(text), most)


def _answer(code: str, message: str, rows: list[Any], status: int = 200, snapshot_of: str = "") -> Answer:
    return Answer(status, msgspec.json.encode({"code": code, "msg": message, "data": rows}), {}, snapshot_of)


def weight(path: str) -> int:
    """See `WireProtocol.weight`."""
    return _WEIGHTS.get(path.removeprefix(BASE), 1)


def limited() -> Answer:
    """See `WireProtocol.limited`; how long is not said."""
    return _answer("50011", "Too Many Requests", [], 429)
