"""The topics of a pipeline by name. What each carries, who writes it and from which feeds is in `record_kinds`.

A topic's full name is `<prefix>.<kind>`. The prefix is the pipeline's name unless the spec says otherwise,
so several pipelines share a broker. Names are made by `topic_name` and nowhere else.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["EXCHANGE_FEEDS", "Feed", "TopicKind", "topic_name"]


class Feed(StrEnum):
    """A kind of market data that can be asked of an exchange. The value is its name in the spec.

    `raw` is not asked for: it keeps what the exchange sends for the others, as it came.
    """

    BOOK = "book"
    TRADES = "trades"
    AGG_TRADES = "aggTrades"
    QUOTES = "quotes"
    TICKERS = "tickers"
    CANDLES = "candles"
    RAW = "raw"


EXCHANGE_FEEDS = tuple(feed for feed in Feed if feed is not Feed.RAW)
"""What an exchange has streams of."""


class TopicKind(StrEnum):
    """What a topic carries. The value is the second half of the topic's name."""

    TRADES = "trades"
    AGG_TRADES = "agg-trades"
    BOOK = "book"
    QUOTES = "quotes"
    TICKERS = "tickers"
    EXCHANGE_CANDLES = "exchange-candles"
    RAW = "raw"
    EVENTS = "events"
    DEAD_LETTERS = "dead-letters"
    THRESHOLDS = "thresholds"
    BOOK_METRICS = "book-metrics"
    CANDLES = "candles"
    TRADE_STATISTICS = "trade-statistics"
    BOOK_STATISTICS = "book-statistics"
    ALERTS = "alerts"
    LATE = "late"


def topic_name(prefix: str, kind: TopicKind) -> str:
    """The full name of a topic, e.g. `crypto.book-metrics`."""
    return f"{prefix}.{kind.value}"
