"""Records as the topics carry them, for the tests of the stores."""

from __future__ import annotations

from typing import Any

from marketpipeline.records import (
    AggTrade,
    Alert,
    Book,
    BookMetrics,
    BookStatistics,
    Candle,
    ExchangeCandle,
    FeedEvent,
    Heartbeat,
    LateTrade,
    Quote,
    Record,
    Ticker,
    Trade,
    TradeStatistics,
    encode,
)
from marketpipeline.sinks.base import Delivery

__all__ = [
    "BTC",
    "ETH",
    "MINUTE",
    "START",
    "agg_trade",
    "alert",
    "book",
    "book_statistics",
    "candle",
    "deliver",
    "every_kind",
    "exchange_candle",
    "feed_event",
    "heartbeat",
    "late_trade",
    "quote",
    "raw_book",
    "ticker",
    "trade",
    "trade_statistics",
]

BTC = "binance:BTCUSDT"
ETH = "binance:ETHUSDT"
START = 1_723_161_240_000_000
"""2024-08-08T23:54:00Z in microseconds."""
MINUTE = 60_000_000


def _with(defaults: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return defaults | changes


def trade(number: int = 1, symbol: str = BTC, **changes: Any) -> Trade:
    time = START + number * 1_000
    fields: dict[str, Any] = {
        "event_time": time + 1,
        "trade_time": time,
        "receive_time": time + 5_000,
        "trade_id": 1_000 + number,
    }
    fields |= {"price": 61_000.01 + number, "quantity": 0.00123, "taker_side": "buy"}
    return Trade(symbol=symbol, **_with(fields, changes))


def agg_trade(number: int = 1, symbol: str = BTC, **changes: Any) -> AggTrade:
    time = START + number * 1_000
    fields: dict[str, Any] = {
        "event_time": time,
        "trade_time": time,
        "receive_time": time + 5_000,
        "agg_trade_id": 500 + number,
    }
    fields |= {"first_trade_id": number, "last_trade_id": number + 1, "price": 61_000.5, "quantity": 1.5}
    return AggTrade(symbol=symbol, **_with(fields | {"taker_side": "sell"}, changes))


def late_trade(number: int = 1, symbol: str = BTC, **changes: Any) -> LateTrade:
    time = START + number * 1_000
    fields: dict[str, Any] = {"trade_time": time, "receive_time": time + 9_000_000, "process_time": time + 9_001_000}
    fields |= {"trade_id": 1_000 + number, "price": 61_000.5, "quantity": 1.5, "taker_side": "sell"}
    return LateTrade(symbol=symbol, **_with(fields | {"clock": time + 70_000_000}, changes))


def raw_book(number: int = 1, symbol: str = BTC, **changes: Any) -> Book:
    time = START + number * 100_000
    fields: dict[str, Any] = {"event_time": time, "receive_time": time + 4_000, "update_id": number}
    fields |= {"bids": [(61_000.0 - n, 1.0 + n) for n in range(5)], "asks": [(61_000.5 + n, 1.5 + n) for n in range(5)]}
    return Book(symbol=symbol, **_with(fields, changes))


def quote(number: int = 1, symbol: str = BTC, **changes: Any) -> Quote:
    fields: dict[str, Any] = {"event_time": None, "receive_time": START + number * 1_000, "update_id": 9_000 + number}
    fields |= {"bid_price": 61_000.0, "bid_quantity": 1.25, "ask_price": 61_000.01, "ask_quantity": 2.5}
    return Quote(symbol=symbol, **_with(fields, changes))


def ticker(number: int = 1, symbol: str = BTC, **changes: Any) -> Ticker:
    time = START + number * 1_000_000
    fields: dict[str, Any] = {"event_time": time, "receive_time": time + 5_000, "last_price": 61_000.5}
    fields |= {"last_quantity": 0.1, "bid_price": 61_000.0, "bid_quantity": 1.0, "ask_price": 61_001.0}
    fields |= {"ask_quantity": 1.0, "open": 60_000.0, "high": 62_000.0, "low": 59_000.0, "volume": 12_345.678}
    fields |= {"quote_volume": 7.5e8, "price_change": 61_000.5 / 60_000.0 - 1, "vwap": None, "trades": 999}
    return Ticker(symbol=symbol, **_with(fields, changes))


def exchange_candle(number: int = 0, symbol: str = BTC, **changes: Any) -> ExchangeCandle:
    open_time = START + number * MINUTE
    fields: dict[str, Any] = {
        "event_time": open_time + 1,
        "receive_time": open_time + 2,
        "interval": "1m",
        "open_time": open_time,
    }
    fields |= {"closed": False, "open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "volume": 10.0}
    fields |= {"quote_volume": 15.0, "trades": 7, "taker_buy_volume": 4.0}
    return ExchangeCandle(symbol=symbol, **_with(fields, changes))


def book(number: int = 1, symbol: str = BTC, **changes: Any) -> BookMetrics:
    time = START + number * 100_000
    fields: dict[str, Any] = {"event_time": time, "event_time_estimated": False, "receive_time": time + 4_000}
    fields |= {"process_time": time + 9_000, "update_id": 7_000 + number, "best_bid": 61_000.0}
    fields |= {"best_bid_quantity": 1.5, "best_ask": 61_000.01, "best_ask_quantity": 0.5, "mid": 61_000.005}
    fields |= {"spread": 0.01, "spread_bps": 0.01 / 61_000.005 * 1e4, "imbalance": 0.123456789012345}
    fields |= {"weighted_imbalance": -0.25, "vtob_ratio": 0.1, "weighted_mid": 61_000.0075, "bid_quantity": 11.0}
    fields |= {"ask_quantity": 9.0, "bid_depth": 671_000.5, "ask_depth": None}
    return BookMetrics(symbol=symbol, **_with(fields, changes))


def candle(number: int = 0, symbol: str = BTC, **changes: Any) -> Candle:
    open_time = START + number * MINUTE
    fields: dict[str, Any] = {"interval": "1m", "open_time": open_time, "close_time": open_time + MINUTE}
    fields |= {
        "closed": False,
        "complete": True,
        "open": 61_000.0,
        "high": 61_010.0,
        "low": 60_990.0,
        "close": 61_005.0 + number,
    }
    fields |= {"volume": 10.5, "quote_volume": 640_552.5, "trades": 100, "taker_buy_volume": 6.5, "vwap": 61_005.0}
    fields |= {"buy_sell_ratio": 1.625, "price_change": 5 / 61_000, "first_trade_id": 1, "last_trade_id": 100}
    fields |= {"receive_time": open_time + 50_000_000, "process_time": open_time + 50_010_000}
    return Candle(symbol=symbol, **_with(fields, changes))


def trade_statistics(number: int = 0, symbol: str = BTC, **changes: Any) -> TradeStatistics:
    open_time = START + number * MINUTE
    fields: dict[str, Any] = {"interval": "1m", "open_time": open_time, "close_time": open_time + MINUTE}
    fields |= {"complete": True, "trades": 100, "quote_volume": 640_552.5, "taker_buy_volume": 6.5}
    fields |= {"taker_sell_volume": 4.0, "vwap": 61_005.0, "price_change": 5 / 61_000, "range_bps": 3.25}
    fields |= {"realised_volatility": None, "largest_trade": 20_000.5, "largest_trade_id": 7, "outliers": 1}
    fields |= {"receive_time": open_time + MINUTE, "process_time": open_time + MINUTE + 2_000_000}
    return TradeStatistics(symbol=symbol, **_with(fields, changes))


def book_statistics(number: int = 0, symbol: str = BTC, **changes: Any) -> BookStatistics:
    open_time = START + number * 1_000_000
    fields: dict[str, Any] = {"interval": "1s", "open_time": open_time, "close_time": open_time + 1_000_000}
    fields |= {"events": 10, "mid": 61_000.005, "spread_bps": 0.0016, "imbalance": 0.1, "weighted_imbalance": -0.2}
    fields |= {"bid_depth": None, "ask_depth": 671_000.5, "lowest_imbalance": -0.3, "highest_imbalance": 0.4}
    fields |= {"lowest_imbalance_time": open_time, "highest_imbalance_time": open_time + 1, "lowest_spread_bps": 0.001}
    fields |= {"lowest_spread_time": open_time + 2, "highest_spread_bps": 0.5, "highest_spread_time": open_time + 3}
    fields |= {"order_flow_imbalance": -7.5, "bid_slope": 4.5, "ask_slope": None, "normal_spread_bps": 0.0016}
    fields |= {"receive_time": open_time + 1_000_000, "process_time": open_time + 1_004_000}
    return BookStatistics(symbol=symbol, **_with(fields, changes))


def alert(number: int = 0, symbol: str = BTC, **changes: Any) -> Alert:
    started = START + number * 1_000_000
    fields: dict[str, Any] = {"id": f"extreme_imbalance:{symbol}:{started}", "rule": "extreme_imbalance"}
    fields |= {"severity": "MEDIUM", "status": "open", "side": "buy", "started_at": started, "ended_at": None}
    fields |= {"event_time": started, "value": 0.55, "extreme": 0.55, "threshold": 0.5, "trade_id": None}
    fields |= {"receive_time": started + 4_000, "process_time": started + 8_000}
    return Alert(symbol=symbol, **_with(fields, changes))


def feed_event(number: int = 0, symbol: str = BTC, **changes: Any) -> FeedEvent:
    time = START + number * 1_000_000
    fields: dict[str, Any] = {"id": f"gap:{symbol}:{number}", "kind": "gap", "feed": "book", "event_time": time}
    fields |= {"receive_time": time + 4_000, "first_id": 10, "last_id": 20, "detail": "the stream jumped"}
    return FeedEvent(symbol=symbol, **_with(fields, changes))


def heartbeat(number: int = 0, symbol: str = BTC) -> Heartbeat:
    time = START + number * 1_000_000
    return Heartbeat(symbol=symbol, event_time=time, receive_time=time + 1)


def every_kind(symbol: str = BTC) -> list[Record]:
    """One record of each kind that some store keeps."""
    return [
        trade(symbol=symbol),
        agg_trade(symbol=symbol),
        late_trade(symbol=symbol),
        quote(symbol=symbol),
        ticker(symbol=symbol),
        exchange_candle(symbol=symbol),
        book(symbol=symbol),
        candle(symbol=symbol),
        trade_statistics(symbol=symbol),
        book_statistics(symbol=symbol),
        alert(symbol=symbol),
        feed_event(symbol=symbol),
    ]


def deliver(*records: Record) -> list[Delivery]:
    """Records as the runner hands them to a sink."""
    return [
        Delivery(
            record=record, payload=encode(record), topic="t", partition=0, offset=offset, key=record.symbol.encode()
        )
        for offset, record in enumerate(records)
    ]
