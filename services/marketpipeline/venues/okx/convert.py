"""OKX's messages as records: each function takes a decoded row, the symbol and the receive time.

What the types of `wire` cannot say is checked here: that the row is of the message's own instrument, that a book is
not crossed. Raises FrameError.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from math import isfinite
from typing import Any

from marketpipeline.records import AggTrade, Book, ExchangeCandle, Level, Quote, Ticker, Trade
from marketpipeline.venues.messages import BookChange, BookSnapshot, FrameError, RawLevels
from marketpipeline.venues.okx import wire

__all__ = [
    "Nothing",
    "agg_trade",
    "candle",
    "change",
    "instrument_type",
    "is_contract",
    "levels",
    "name_of",
    "quote",
    "snapshot",
    "ticker",
    "top",
    "trade",
]

MILLI = 1000


class Nothing(Exception):
    """A row that is right and tells nothing; its text is why, in a word or two."""


@cache
def name_of(symbol: str) -> str:
    """The exchange's own name of `exchange:SYMBOL`."""
    return symbol.partition(":")[2] or symbol


def instrument_type(name: str) -> str:
    """What an instrument's name says that it is."""
    if name.endswith("-SWAP"):
        return "SWAP"
    return "FUTURES" if re.search(r"-[0-9]{6}$", name) else "SPOT"


def is_contract(symbol: str) -> bool:
    """Whether it is traded in contracts."""
    return symbol.count("-") > 1


def trade(row: wire.TradeRow, symbol: str, receive_time: int, *, backfilled: bool = False) -> Trade:
    """One match; `side` is the taker's."""
    if row.inst_id != name_of(symbol):
        raise _unknown(row.inst_id, symbol)
    if row.count != 1:
        raise FrameError(f"{row.count} trades in one, where each comes alone", symbol)
    time = row.ts * MILLI
    return Trade(
        symbol=symbol,
        event_time=None if backfilled else time,
        trade_time=time,
        receive_time=receive_time,
        trade_id=row.trade_id,
        price=row.px,
        quantity=row.sz,
        taker_side=row.side,
        backfilled=backfilled,
    )


def agg_trade(row: wire.TradeRow, symbol: str, receive_time: int, *, backfilled: bool = False) -> AggTrade:
    """Matches of one taker at one price; the row has the last one's id. A match that is fetched stands alone."""
    if row.inst_id != name_of(symbol):
        raise _unknown(row.inst_id, symbol)
    first = row.trade_id - row.count + 1
    if first < 0:
        raise FrameError(f"{row.count} trades up to id {row.trade_id}", symbol)
    time = row.ts * MILLI
    return AggTrade(
        symbol=symbol,
        event_time=None if backfilled else time,
        trade_time=time,
        receive_time=receive_time,
        agg_trade_id=row.trade_id,
        first_trade_id=first,
        last_trade_id=row.trade_id,
        price=row.px,
        quantity=row.sz,
        taker_side=row.side,
        backfilled=backfilled,
    )


def levels(side: list[wire.WireLevel]) -> list[Level]:
    """Price and size of each."""
    return [(level.px, level.sz) for level in side]


def change(row: wire.BookRow, text: Any, symbol: str, receive_time: int) -> BookChange:
    """Changed levels. Where there are no sequence numbers the time, which grows, takes their place, and only the
    checksum tells what is missing."""
    last = row.ts if row.seq_id is None else row.seq_id
    previous = row.prev_seq_id if row.seq_id is not None else None
    return BookChange(
        symbol,
        row.ts * MILLI,
        receive_time,
        last if previous is None else previous + 1,
        last,
        levels(row.bids),
        levels(row.asks),
        previous,
        row.checksum,
        _text(text),
    )


def snapshot(row: wire.BookRow, text: Any, symbol: str, receive_time: int) -> BookSnapshot:
    """A book of up to 400 levels. Levels that move into these are told, so nothing is unknown."""
    last = row.ts if row.seq_id is None else row.seq_id
    bids, asks = levels(row.bids), levels(row.asks)
    return BookSnapshot(last, bids, asks, True, True, symbol, row.ts * MILLI, receive_time, row.checksum, _text(text))


def top(row: wire.TopRow, symbol: str, receive_time: int) -> Book:
    """The top levels as the exchange sends them."""
    bids = sorted((level for level in levels(row.bids) if level[1]), reverse=True)
    asks = sorted(level for level in levels(row.asks) if level[1])
    for side, found in (("bids", bids), ("asks", asks)):
        for level, following in pairwise(found):
            if level[0] == following[0]:
                raise FrameError(f"price {level[0]} twice in {side}", symbol)
    if bids and asks and bids[0][0] >= asks[0][0]:
        raise _crossed(bids[0][0], asks[0][0], symbol)
    return Book(
        symbol=symbol,
        event_time=row.ts * MILLI,
        receive_time=receive_time,
        update_id=row.ts if row.seq_id is None else row.seq_id,
        bids=bids,
        asks=asks,
    )


def quote(row: wire.TopRow, symbol: str, receive_time: int) -> Quote:
    """Best bid and ask; a side may be empty."""
    if not row.bids or not row.asks or not row.bids[0].sz or not row.asks[0].sz:
        raise Nothing("one-sided book")
    bid, ask = row.bids[0], row.asks[0]
    if bid.px >= ask.px:
        raise _crossed(bid.px, ask.px, symbol)
    return Quote(
        symbol=symbol,
        event_time=row.ts * MILLI,
        receive_time=receive_time,
        update_id=row.ts if row.seq_id is None else row.seq_id,
        bid_price=bid.px,
        bid_quantity=bid.sz,
        ask_price=ask.px,
        ask_quantity=ask.sz,
    )


def ticker(row: wire.TickerRow, symbol: str, receive_time: int) -> Ticker:
    """Statistics of 24 hours. Of a contract `vol24h` counts contracts, and the quote volume is not told."""
    if row.inst_id != name_of(symbol):
        raise _unknown(row.inst_id, symbol)
    if not row.last:
        raise Nothing("never traded")
    contract = is_contract(symbol)
    volume, currency = _number(row.vol24h, "vol24h", symbol), _number(row.vol_ccy24h, "volCcy24h", symbol)
    last, opened = _number(row.last, "last", symbol), _number(row.open24h, "open24h", symbol)
    return Ticker(
        symbol=symbol,
        event_time=row.ts * MILLI,
        receive_time=receive_time,
        last_price=last,
        last_quantity=_number(row.last_sz, "lastSz", symbol),
        bid_price=_number(row.bid_px, "bidPx", symbol),
        bid_quantity=_number(row.bid_sz, "bidSz", symbol),
        ask_price=_number(row.ask_px, "askPx", symbol),
        ask_quantity=_number(row.ask_sz, "askSz", symbol),
        open=opened,
        high=_number(row.high24h, "high24h", symbol),
        low=_number(row.low24h, "low24h", symbol),
        volume=currency if contract else volume,
        quote_volume=None if contract else currency,
        price_change=last / opened - 1 if opened else 0.0,
        contracts=volume if contract else None,
    )


def candle(row: wire.CandleRow, symbol: str, receive_time: int) -> ExchangeCandle:
    """A minute as the exchange has it so far; it tells no time of sending."""
    if not row.l <= min(row.o, row.c) <= max(row.o, row.c) <= row.h:
        raise FrameError(f"open {row.o} or close {row.c} outside of low {row.l} to high {row.h}", symbol)
    if row.ts % 60_000:
        raise FrameError(f"open time {row.ts} is not a whole minute", symbol)
    contract = is_contract(symbol)
    return ExchangeCandle(
        symbol=symbol,
        event_time=None,
        receive_time=receive_time,
        interval="1m",
        open_time=row.ts * MILLI,
        closed=row.confirm == "1",
        open=row.o,
        high=row.h,
        low=row.l,
        close=row.c,
        volume=row.vol_ccy if contract else row.vol,
        quote_volume=row.vol_ccy_quote,
        trades=None,
        taker_buy_volume=None,
        contracts=row.vol if contract else None,
    )


def _text(row: Any) -> RawLevels | None:
    if row is None:
        return None
    return [(level.px, level.sz) for level in row.bids], [(level.px, level.sz) for level in row.asks]


def _crossed(bid: float, ask: float, symbol: str) -> FrameError:
    return FrameError(f"crossed: bid {bid} is not below ask {ask}", symbol)


def _number(text: str, field: str, symbol: str) -> float:
    """A number that may be absent, as 0."""
    try:
        value = float(text or 0)
    except ValueError as error:
        raise FrameError(f"{field} {text[:40]!r} must be a number", symbol) from error
    if not isfinite(value) or not 0 <= value < 1e18:
        raise FrameError(f"{field} {text[:40]!r} must be finite and not negative", symbol)
    return value


def _unknown(found: str, symbol: str) -> FrameError:
    return FrameError(f"unknown instrument {found!r} in the stream of {symbol}", symbol)
