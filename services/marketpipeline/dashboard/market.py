"""What the stream has told, as it is painted: the newest of each symbol, and what came last. No I/O.

One thread writes, those of the viewers read. A row is never changed once it is here, so that a lock is held for the
moment of a copy only.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

__all__ = ["Market", "Moment", "Row", "Stretch", "milliseconds"]

Row = Mapping[str, Any]
"""A record as the API's answers have it: times are ISO 8601 in UTC."""

STRETCH_SECONDS = 600
_STEP_MS = 1_000
_MOST_CANDLES = 300
_MOST_ALERTS = 1_000


class Moment(NamedTuple):
    """Measures of the book at a time (milliseconds): mid in quote units, spread in basis points, ratios in −1…1."""

    time: int
    mid: float
    spread_bps: float
    imbalance: float
    weighted_imbalance: float


Stretch = tuple[Moment, ...]
"""The last ten minutes of a symbol, a moment a second."""


def milliseconds(text: str) -> int:
    """An ISO 8601 time in milliseconds since 1970."""
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


class Market:
    """Everything that a page of now shows. Each method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._books: dict[str, Row] = {}
        self._levels: dict[str, Row] = {}
        self._tickers: dict[str, Row] = {}
        self._moments: dict[str, deque[Moment]] = {}
        self._candles: dict[tuple[str, str], dict[str, Row]] = {}
        self._alerts: dict[str, Row] = {}
        self._came_at: dict[str, float] = {}

    def take(self, rows: Iterable[Row]) -> None:
        """Rows of a message of the stream, in its order."""
        now = time.monotonic()
        with self._lock:
            for row in rows:
                self._take(row)
                self._came_at[row["symbol"]] = now

    def fill(self, rows: Iterable[Row]) -> None:
        """Rows of before, which tell nothing of now."""
        with self._lock:
            for row in rows:
                self._take(row)

    def _take(self, row: Row) -> None:
        symbol = row["symbol"]
        match row["kind"]:
            case "book":
                self._books[symbol] = row
                self._note(symbol, row)
            case "levels":
                self._levels[symbol] = row
            case "candle" | "closed-candle":
                self._take_candle(row)
            case "ticker":
                self._tickers[symbol] = row
            case "alert":
                self._take_alert(row)

    def _note(self, symbol: str, row: Row) -> None:
        moments = self._moments.setdefault(symbol, deque(maxlen=STRETCH_SECONDS))
        at = milliseconds(row["event_time"])
        if not moments or at >= moments[-1].time + _STEP_MS:
            moments.append(Moment(at, row["mid"], row["spread_bps"], row["imbalance"], row["weighted_imbalance"]))

    def _take_candle(self, row: Row) -> None:
        kept = self._candles.setdefault((row["symbol"], row["interval"]), {})
        known = kept.get(row["open_time"])
        if known is None or known["trades"] <= row["trades"]:
            kept[row["open_time"]] = row
        if len(kept) > _MOST_CANDLES:
            del kept[min(kept)]

    def _take_alert(self, row: Row) -> None:
        known = self._alerts.get(row["id"])
        if known is None or known["event_time"] <= row["event_time"]:
            self._alerts[row["id"]] = row
        if len(self._alerts) > _MOST_ALERTS:
            del self._alerts[min(self._alerts, key=lambda key: self._alerts[key]["started_at"])]

    def forget_levels(self, besides: frozenset[str] = frozenset()) -> None:
        """An old book is no book: when its stream ended, or follows others."""
        with self._lock:
            self._levels = {symbol: row for symbol, row in self._levels.items() if symbol in besides}

    def book(self, symbol: str) -> Row | None:
        """The newest measures of the book."""
        return self._books.get(symbol)

    def levels(self, symbol: str) -> Row | None:
        """The newest book with its levels."""
        return self._levels.get(symbol)

    def ticker(self, symbol: str) -> Row | None:
        """The exchange's own statistics of 24 hours, where that feed is on."""
        return self._tickers.get(symbol)

    def stretch(self, symbol: str) -> Stretch:
        """The measures of the last minutes, in order of time."""
        with self._lock:
            return tuple(self._moments.get(symbol, ()))

    def candles(self, symbol: str, interval: str) -> list[Row]:
        """The last candles in order of time, the one that forms at the end."""
        with self._lock:
            kept = dict(self._candles.get((symbol, interval), {}))
        return [kept[at] for at in sorted(kept)]

    def alerts(self) -> list[Row]:
        """The last alerts, each as it is now, the newest first."""
        with self._lock:
            kept = list(self._alerts.values())
        return sorted(kept, key=lambda row: (row["started_at"], row["id"]), reverse=True)

    def age(self, symbol: str) -> float | None:
        """Seconds since anything of a symbol came; None before the first."""
        at = self._came_at.get(symbol)
        return None if at is None else time.monotonic() - at
