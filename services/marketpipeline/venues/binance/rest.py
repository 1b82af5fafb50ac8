"""Binance's REST interface: requests with their weights, and how answers are read. No I/O here.

Weights as its documentation states them for spot; a minute's budget is `Limits.rest`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.records import AggTrade, Trade
from marketpipeline.venues.adapter import Page, RestRequest, Throttled, UnknownSymbol
from marketpipeline.venues.binance import VENUE
from marketpipeline.venues.binance.convert import check_book, microseconds, number_in, unreadable
from marketpipeline.venues.binance.wire import Count, ErrorBody, PartialMessage, Price, Quantity, Size, Time
from marketpipeline.venues.instruments import Instrument, Instruments, Volumes
from marketpipeline.venues.messages import BadRow, BookSnapshot, FrameError

__all__ = ["agg_trades", "instruments", "judge", "server_time", "snapshot", "trades", "used_weight", "volumes"]

T = TypeVar("T")
R = TypeVar("R", Trade, AggTrade)

_MICROSECONDS = (("X-MBX-TIME-UNIT", "MICROSECOND"),)
_SNAPSHOT_LEVELS = 1000
_SNAPSHOT_WEIGHTS = {100: 5, 500: 25, 1000: 50, 5000: 250}
_TRADES_WEIGHT = 25
_AGG_TRADES_WEIGHT = 4
_LISTING_WEIGHT = 20
_VOLUMES_WEIGHT = 80
_TIME_WEIGHT = 1
_UNKNOWN_SYMBOL = -1121
_TOO_MANY, _BANNED, _FIREWALL = 429, 418, 403
_DEFAULT_WAIT = {_TOO_MANY: 10.0, _BANNED: 120.0}


class _TimeBody(msgspec.Struct):
    server_time: Time = msgspec.field(name="serverTime")


class _SymbolBody(msgspec.Struct):
    symbol: str
    status: str = "TRADING"
    quote: str = msgspec.field(name="quoteAsset", default="")


class _ListingBody(msgspec.Struct):
    symbols: list[_SymbolBody]


class _VolumeBody(msgspec.Struct, gc=False):
    symbol: str
    quote_volume: Quantity = msgspec.field(name="quoteVolume")


class _TradeBody(msgspec.Struct, gc=False):
    id: Count
    price: Price
    qty: Size
    time: Time
    is_buyer_maker: bool = msgspec.field(name="isBuyerMaker")


class _AggTradeBody(msgspec.Struct, gc=False):
    a: Count
    p: Price
    q: Size
    f: Count
    l: Count  # noqa: E741 - the wire's name
    T: Time
    m: bool


class _TradeId(msgspec.Struct):
    number: Count = msgspec.field(name="id")


class _AggTradeId(msgspec.Struct):
    number: Count = msgspec.field(name="a")


def server_time() -> RestRequest[int]:
    """The exchange's clock, µs."""
    read = _reader(_TimeBody, lambda body, _: microseconds(body.server_time))
    return RestRequest("/api/v3/time", (), _TIME_WEIGHT, read, _MICROSECONDS)


def instruments(symbols: Sequence[str] | None) -> RestRequest[Instruments]:
    """Which of these exist, refused as a whole (-1121) when one of them does not; or all, which is some megabytes."""
    names = json.dumps([_name(symbol) for symbol in symbols or ()], separators=(",", ":"), ensure_ascii=False)
    params = (("symbols", names),) if symbols is not None else ()

    def convert(body: _ListingBody, _: int) -> Instruments:
        return {
            f"{VENUE.name}:{entry.symbol}": Instrument(market=entry.quote, trading=entry.status == "TRADING")
            for entry in body.symbols
        }

    params = (*params, ("showPermissionSets", "false"))
    return RestRequest("/api/v3/exchangeInfo", params, _LISTING_WEIGHT, _reader(_ListingBody, convert))


def volumes() -> RestRequest[Volumes]:
    """What was traded of all symbols in 24 hours, in their quote currencies."""

    def convert(rows: list[_VolumeBody], _: int) -> Volumes:
        return {f"{VENUE.name}:{row.symbol}": row.quote_volume for row in rows}

    read = _reader(list[_VolumeBody], convert)
    return RestRequest("/api/v3/ticker/24hr", (("type", "MINI"),), _VOLUMES_WEIGHT, read)


def snapshot(symbol: str) -> RestRequest[BookSnapshot]:
    """The best 1,000 levels of each side."""

    def convert(body: PartialMessage, _: int) -> BookSnapshot:
        bids, asks = check_book(body.bids, body.asks, symbol)
        whole = [len(side) < _SNAPSHOT_LEVELS for side in (body.bids, body.asks)]
        return BookSnapshot(body.last_update_id, bids, asks, whole[0], whole[1])

    params = (("symbol", _name(symbol)), ("limit", str(_SNAPSHOT_LEVELS)))
    weight = _SNAPSHOT_WEIGHTS[_SNAPSHOT_LEVELS]
    return RestRequest("/api/v3/depth", params, weight, _reader(PartialMessage, convert, symbol), symbol=symbol)


def trades(symbol: str, first_id: int | None, limit: int) -> RestRequest[Page[Trade]]:
    """Trades from an id on; without one the newest."""

    def convert(row: _TradeBody, receive_time: int) -> Trade:
        return Trade(
            symbol=symbol,
            event_time=None,
            trade_time=microseconds(row.time),
            receive_time=receive_time,
            trade_id=row.id,
            price=row.price,
            quantity=row.qty,
            taker_side="sell" if row.is_buyer_maker else "buy",
            backfilled=True,
        )

    read = _page_reader(_TradeBody, _TradeId, convert, symbol)
    page = _page(symbol, first_id, limit)
    return RestRequest("/api/v3/historicalTrades", page, _TRADES_WEIGHT, read, _MICROSECONDS, symbol)


def agg_trades(symbol: str, first_id: int | None, limit: int) -> RestRequest[Page[AggTrade]]:
    """Aggregate trades from an id on; without one the newest."""

    def convert(row: _AggTradeBody, receive_time: int) -> AggTrade:
        return AggTrade(
            symbol=symbol,
            event_time=None,
            trade_time=microseconds(row.T),
            receive_time=receive_time,
            agg_trade_id=row.a,
            first_trade_id=row.f,
            last_trade_id=row.l,
            price=row.p,
            quantity=row.q,
            taker_side="sell" if row.m else "buy",
            backfilled=True,
        )

    read = _page_reader(_AggTradeBody, _AggTradeId, convert, symbol)
    page = _page(symbol, first_id, limit)
    return RestRequest("/api/v3/aggTrades", page, _AGG_TRADES_WEIGHT, read, _MICROSECONDS, symbol)


def judge(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Return for 200; raise Throttled for 429 and 418, RetryableError for 403 and 5xx, UnknownSymbol for a symbol that
    is not listed, PermanentError for others.

    403 is its firewall, which lets go again. Header names are lower case.
    """
    if status == 200:
        return
    code, said = _said(status, body)
    if status in _DEFAULT_WAIT:
        raise Throttled(said, _seconds(headers.get("retry-after"), _DEFAULT_WAIT[status]))
    if status >= 500 or status in (_FIREWALL, 408):
        raise RetryableError(said, _seconds(headers.get("retry-after"), None))
    raise UnknownSymbol(said) if code == _UNKNOWN_SYMBOL else PermanentError(said)


def used_weight(headers: Mapping[str, str]) -> int | None:
    """What this address has used in the current minute."""
    value = headers.get("x-mbx-used-weight-1m", "")
    return int(value) if value.isdigit() else None


def _said(status: int, body: bytes) -> tuple[int | None, str]:
    try:
        error = msgspec.json.decode(body, type=ErrorBody)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None, f"HTTP {status}: {body[:200].decode('utf-8', 'replace')}"
    return error.code, f"HTTP {status}: {error.code}: {error.msg}"


def _seconds(value: str | None, default: float | None) -> float | None:
    return float(value) if value is not None and value.strip().isdigit() else default


def _name(symbol: str) -> str:
    return symbol.partition(":")[2] or symbol


def _page(symbol: str, first_id: int | None, limit: int) -> tuple[tuple[str, str], ...]:
    params = (("symbol", _name(symbol)), ("limit", str(limit)))
    return params if first_id is None else (*params, ("fromId", str(first_id)))


def _reader(body_type: Any, convert: Callable[[Any, int], T], symbol: str = "") -> Callable[[bytes, int], T]:
    """What reads a body of `body_type`; FrameError for any other."""
    decoder = msgspec.json.Decoder(body_type, strict=False)

    def read(body: bytes, receive_time: int) -> T:
        with unreadable(symbol):
            return convert(decoder.decode(body), receive_time)

    return read


def _page_reader(
    row_type: Any, number_type: Any, convert: Callable[[Any, int], R], symbol: str
) -> Callable[[bytes, int], Page[R]]:
    """What reads a page of rows. A row that cannot be used does not take the others with it."""
    decoder = msgspec.json.Decoder(list[row_type], strict=False)

    def read(body: bytes, receive_time: int) -> Page[R]:
        try:
            return Page([convert(row, receive_time) for row in decoder.decode(body)], [])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return read_one_by_one(body, receive_time)

    def read_one_by_one(body: bytes, receive_time: int) -> Page[R]:
        with unreadable(symbol):
            rows = msgspec.json.decode(body, type=list[msgspec.Raw])
        page: Page[R] = Page([], [])
        for row in rows:
            try:
                with unreadable(symbol):
                    page.records.append(convert(msgspec.json.decode(row, type=row_type, strict=False), receive_time))
            except FrameError as error:
                page.bad.append(BadRow(bytes(row), str(error), number_in(row, number_type)))
        return page

    return read
