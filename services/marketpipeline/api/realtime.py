"""What a symbol is at this moment, from the newest of each kind. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from marketpipeline.api.rows import JsonRow
from marketpipeline.api.stores import Newest

__all__ = ["age_ms", "summary"]

_TOP = ("best_bid", "best_bid_quantity", "best_ask", "best_ask_quantity", "mid", "spread", "spread_bps")
_MEASURES = ("imbalance", "weighted_imbalance", "vtob_ratio")


def summary(symbol: str, newest: Newest, now: datetime) -> JsonRow:
    """Price, best bid and ask, spread, measures of the book, candles, and how old the newest of it is.

    The price is that of the last trade, else the mid. Bid, ask and spread are of whichever was received last, the
    quote or the book; the measures are always of the book. What is not known is null. The age may be negative when
    the clocks of the machines disagree.
    """
    trade, book = newest.trade or {}, newest.book or {}
    top = _top(newest)
    received = max((row["receive_time"] for row in _all(newest)), default=None)
    return {
        "symbol": symbol,
        "price": trade.get("price", top["mid"]),
        "price_time": trade.get("trade_time"),
        **top,
        **{name: book.get(name) for name in _MEASURES},
        "book_time": book.get("event_time"),
        "candles": newest.candles,
        "ticker": newest.ticker,
        "receive_time": received,
        "age_ms": age_ms(received, now),
    }


def age_ms(moment: str | None, now: datetime) -> int | None:
    """Milliseconds from an ISO 8601 time to now."""
    return None if moment is None else round((now - datetime.fromisoformat(moment)).total_seconds() * 1000)


def _all(newest: Newest) -> list[JsonRow]:
    rows = (newest.trade, newest.quote, newest.book, newest.ticker, *newest.candles.values())
    return [row for row in rows if row is not None]


def _top(newest: Newest) -> dict[str, Any]:
    """Best bid and ask, mid and spread."""
    quote, book = newest.quote, newest.book
    if quote is not None and (book is None or quote["receive_time"] >= book["receive_time"]):
        bid, ask = quote["bid_price"], quote["ask_price"]
        mid = (bid + ask) / 2
        values = (bid, quote["bid_quantity"], ask, quote["ask_quantity"], mid, ask - bid, (ask - bid) / mid * 1e4)
        return dict(zip(_TOP, values, strict=True))
    return {name: book and book[name] for name in _TOP}
