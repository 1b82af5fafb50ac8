"""Drops what another process of ingestion has written, too: a pair writes every record twice.

Every store tells repetitions apart by natural keys as well. Here they go before they cost it anything; and a ticker,
whose key is the time of its receipt, is recognised by the exchange's time. The memory is bounded: of the newest
records, many more than two processes differ by.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from marketpipeline.records import AggTrade, Record, Ticker, Trade

__all__ = ["REMEMBERED", "Repeats"]

REMEMBERED = 50_000
"""Records that are remembered, at least; at most twice as many."""

_ID: dict[type[Record], Callable[[Record], Hashable]] = {
    Trade: lambda trade: (trade.symbol, trade.trade_time, trade.trade_id),  # type: ignore[attr-defined]
    AggTrade: lambda trade: (trade.symbol, -trade.trade_time, trade.agg_trade_id),  # type: ignore[attr-defined]
    Ticker: lambda ticker: (ticker.symbol, ticker.event_time),  # type: ignore[attr-defined]
}


class Repeats:
    """Remembers what a sink has taken. `dropped` counts what came again."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._most = remembered
        self._newer: set[Hashable] = set()
        self._older: set[Hashable] = set()
        self.dropped = 0

    def holds(self, record: Record) -> bool:
        """Whether it was taken before; else it is now."""
        id_of = _ID.get(type(record))
        if id_of is None:
            return False
        name = id_of(record)
        if name in self._newer or name in self._older:
            self.dropped += 1
            return True
        if type(record) is Ticker and record.event_time is None:
            return False
        if len(self._newer) >= self._most:
            self._older, self._newer = self._newer, set()
        self._newer.add(name)
        return False

    def forget(self) -> None:
        """What was taken may come again and count: it was not stored."""
        self._newer.clear()
        self._older.clear()
