"""The layout of the cache: the newest record of each kind per symbol, and the recent alerts.

    <prefix>:latest:<kind>:<symbol>   hash {order, record}, expires when it is not renewed
    <prefix>:{alerts}:records         hash id → record
    <prefix>:{alerts}:order           hash id → order
    <prefix>:{alerts}:index           sorted set of ids by started_at

Kinds are `trade`, `quote`, `book` (metrics), `ticker`, `candle:<interval>` (the newest, forming or closed) and
`closed-candle:<interval>`. `record` is the record's JSON as on its topic. `order` is a text that sorts as the
records follow one another; a write whose order is below the stored one is refused, so that a replay or a
second writer never puts older data over newer. The braces keep the keys of the alerts on one node of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from marketpipeline.records import Alert, BookMetrics, Candle, Quote, Record, Ticker, Trade
from marketpipeline.topics import TopicKind

__all__ = ["REDIS_TOPICS", "LatestKeys", "alert_order", "latest_entries"]

REDIS_TOPICS = frozenset(
    {
        TopicKind.TRADES,
        TopicKind.QUOTES,
        TopicKind.TICKERS,
        TopicKind.BOOK_METRICS,
        TopicKind.CANDLES,
        TopicKind.ALERTS,
    }
)
"""The topics that the sink into Redis reads."""

_STAGES = {"open": 0, "escalated": 1, "closed": 2}


@dataclass(frozen=True, slots=True)
class LatestKeys:
    """Names of the keys of one pipeline, whose first part is `prefix`."""

    prefix: str

    def latest(self, kind: str, symbol: str) -> str:
        """The newest record of a kind."""
        return f"{self.prefix}:latest:{kind}:{symbol}"

    @property
    def alerts(self) -> tuple[str, str, str]:
        """Records, order and index of the recent alerts."""
        base = f"{self.prefix}:{{alerts}}"
        return f"{base}:records", f"{base}:order", f"{base}:index"


def _order(*parts: int) -> str:
    return ":".join(f"{part:020d}" for part in parts)


def latest_entries(record: Record) -> Iterator[tuple[str, str]]:
    """The kinds that a record is the newest of, perhaps, each with its order; none for a record not kept here."""
    match record:
        case Trade():
            yield "trade", _order(record.trade_time, record.trade_id)
        case Quote():
            yield "quote", _order(record.event_time or record.receive_time, record.update_id)
        case BookMetrics():
            yield "book", _order(record.event_time, record.update_id)
        case Ticker():
            yield "ticker", _order(record.event_time or record.receive_time, record.receive_time)
        case Candle():
            yield f"candle:{record.interval}", _order(record.open_time, record.closed, record.trades)
            if record.closed:
                yield f"closed-candle:{record.interval}", _order(record.open_time)


def alert_order(alert: Alert) -> str:
    """The order of the records of one alert: it opens, may escalate, closes."""
    return _order(_STAGES[alert.status], alert.event_time)
