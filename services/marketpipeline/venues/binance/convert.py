"""Binance's messages as records: each function takes a decoded message, the symbol and the receive time.

What the types of `wire` cannot say is checked here: that the message is of the stream's own symbol, that a
book is not crossed. Raises FrameError.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import msgspec

from marketpipeline.records import AggTrade, Book, ExchangeCandle, Level, Quote, Ticker, Trade
from marketpipeline.venues.binance import wire
from marketpipeline.venues.messages import BookChange, FrameError
from marketpipeline.venues.values import FIRST_MICROSECOND

__all__ = [
    "Nothing",
    "agg_trade",
    "candle",
    "change",
    "check_book",
    "microseconds",
    "number_in",
    "partial",
    "quote",
    "ticker",
    "trade",
    "unreadable",
]


class Nothing(Exception):
    """A message that is right and tells nothing; its text is why, in a word or two."""


def microseconds(time: int) -> int:
    """A time of the exchange in µs. It sends milliseconds, and microseconds when asked to; `wire.Time` is no other."""
    return time if time >= FIRST_MICROSECOND else time * 1000


@contextmanager
def unreadable(symbol: str) -> Iterator[None]:
    """What a decoder raises is a FrameError."""
    try:
        yield
    except msgspec.ValidationError as error:
        raise FrameError(f"not as documented: {error}", symbol) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise FrameError(f"not JSON: {error}", symbol) from error
    except RecursionError as error:
        raise FrameError("nested too deeply", symbol) from error


def number_in(row: bytes | msgspec.Raw, number_type: Any) -> int | None:
    """The id of a trade whose other fields may be wrong; None where it cannot be read either."""
    try:
        number: int = msgspec.json.decode(row, type=number_type).number
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return number


def trade(message: wire.TradeMessage, symbol: str, name: str, receive_time: int) -> Trade:
    """One trade; `m` true means the buyer was the maker, so the aggressor sold."""
    if message.s != name:
        raise _unknown(message.s, symbol)
    event_time, trade_time = message.E, message.T
    return Trade(
        symbol=symbol,
        event_time=event_time if event_time >= FIRST_MICROSECOND else event_time * 1000,
        trade_time=trade_time if trade_time >= FIRST_MICROSECOND else trade_time * 1000,
        receive_time=receive_time,
        trade_id=message.t,
        price=message.p,
        quantity=message.q,
        taker_side="sell" if message.m else "buy",
    )


def agg_trade(message: wire.AggTradeMessage, symbol: str, name: str, receive_time: int) -> AggTrade:
    """Trades of one taker order at one price."""
    if message.s != name:
        raise _unknown(message.s, symbol)
    if message.l < message.f:
        raise FrameError(f"last trade {message.l} before first trade {message.f}", symbol)
    return AggTrade(
        symbol=symbol,
        event_time=microseconds(message.E),
        trade_time=microseconds(message.T),
        receive_time=receive_time,
        agg_trade_id=message.a,
        first_trade_id=message.f,
        last_trade_id=message.l,
        price=message.p,
        quantity=message.q,
        taker_side="sell" if message.m else "buy",
    )


def change(message: wire.DepthMessage, symbol: str, name: str, receive_time: int) -> BookChange:
    """Changed levels; whether the book they make is crossed is seen when they are applied."""
    if message.s != name:
        raise _unknown(message.s, symbol)
    if message.u < message.U:
        raise FrameError(f"last update {message.u} before first update {message.U}", symbol)
    return BookChange(symbol, microseconds(message.E), receive_time, message.U, message.u, message.b, message.a)


def partial(message: wire.PartialMessage, symbol: str, name: str, receive_time: int) -> Book:
    """The top levels as the exchange sends them; it gives no time with them."""
    bids, asks = check_book(message.bids, message.asks, symbol)
    return Book(
        symbol=symbol,
        event_time=None,
        receive_time=receive_time,
        update_id=message.last_update_id,
        bids=bids,
        asks=asks,
    )


def quote(message: wire.QuoteMessage, symbol: str, name: str, receive_time: int) -> Quote:
    """Best bid and ask; a side without an order has the price 0."""
    if message.s != name:
        raise _unknown(message.s, symbol)
    bid, ask = message.b, message.a
    if not bid or not ask:
        raise Nothing("one-sided book")
    if bid >= ask:
        raise FrameError(f"crossed: bid {bid} is not below ask {ask}", symbol)
    return Quote(
        symbol=symbol,
        event_time=None,
        receive_time=receive_time,
        update_id=message.u,
        bid_price=bid,
        bid_quantity=message.B,
        ask_price=ask,
        ask_quantity=message.A,
    )


def ticker(message: wire.TickerMessage, symbol: str, name: str, receive_time: int) -> Ticker:
    """Statistics of 24 hours. The change is computed from the prices: the exchange rounds its percentage."""
    if message.s != name:
        raise _unknown(message.s, symbol)
    return Ticker(
        symbol=symbol,
        event_time=microseconds(message.E),
        receive_time=receive_time,
        last_price=message.c,
        last_quantity=message.Q,
        bid_price=message.b,
        bid_quantity=message.B,
        ask_price=message.a,
        ask_quantity=message.A,
        open=message.o,
        high=message.h,
        low=message.l,
        volume=message.v,
        quote_volume=message.q,
        price_change=message.c / message.o - 1 if message.o else 0.0,
        vwap=message.w if message.n else None,
        trades=message.n,
    )


def candle(message: wire.KlineMessage, symbol: str, name: str, receive_time: int) -> ExchangeCandle:
    """A candle as the exchange has it so far."""
    kline = message.k
    if message.s != name or kline.s != name:
        raise _unknown(message.s if message.s != name else kline.s, symbol)
    if not kline.o and not kline.n:
        raise Nothing("never traded")
    if not (kline.l and kline.o and kline.c):
        raise FrameError(f"a price of 0 in a candle of {kline.n} trades", symbol)
    if not kline.l <= min(kline.o, kline.c) <= max(kline.o, kline.c) <= kline.h:
        raise FrameError(f"open {kline.o} or close {kline.c} outside of low {kline.l} to high {kline.h}", symbol)
    return ExchangeCandle(
        symbol=symbol,
        event_time=microseconds(message.E),
        receive_time=receive_time,
        interval=kline.i,
        open_time=microseconds(kline.t),
        closed=kline.x,
        open=kline.o,
        high=kline.h,
        low=kline.l,
        close=kline.c,
        volume=kline.v,
        quote_volume=kline.q,
        trades=kline.n,
        taker_buy_volume=kline.V,
    )


def check_book(bids: list[Level], asks: list[Level], symbol: str) -> tuple[list[Level], list[Level]]:
    """The levels of a book, sorted and without empty ones; raises FrameError when crossed or for a price twice."""
    bids = sorted((level for level in bids if level[1]), reverse=True)
    asks = sorted(level for level in asks if level[1])
    for side, levels in (("bids", bids), ("asks", asks)):
        for level, following in pairwise(levels):
            if level[0] == following[0]:
                raise FrameError(f"price {level[0]} twice in {side}", symbol)
    if bids and asks and bids[0][0] >= asks[0][0]:
        raise FrameError(f"crossed: bid {bids[0][0]} is not below ask {asks[0][0]}", symbol)
    return bids, asks


def _unknown(found: str, symbol: str) -> FrameError:
    return FrameError(f"unknown symbol {found!r} in the stream of {symbol}", symbol)
