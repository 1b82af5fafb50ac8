"""The JSON of every dashboard, by the file of the chart that it is in."""

from __future__ import annotations

from marketpipeline_operator.dashboards.health import system_health
from marketpipeline_operator.dashboards.markets import (
    market_overview,
    order_book_monitor,
    symbol_deep_dive,
    trading_analytics,
)
from marketpipeline_operator.dashboards.stores import CLICKHOUSE, TIMESCALE

__all__ = [
    "clickhouse_market_overview",
    "clickhouse_order_book_monitor",
    "clickhouse_symbol_deep_dive",
    "clickhouse_trading_analytics",
    "prometheus_system_health",
    "timescale_market_overview",
    "timescale_order_book_monitor",
    "timescale_symbol_deep_dive",
    "timescale_trading_analytics",
]


def timescale_order_book_monitor() -> str:
    return order_book_monitor(TIMESCALE).text()


def timescale_market_overview() -> str:
    return market_overview(TIMESCALE).text()


def timescale_symbol_deep_dive() -> str:
    return symbol_deep_dive(TIMESCALE).text()


def timescale_trading_analytics() -> str:
    return trading_analytics(TIMESCALE).text()


def clickhouse_order_book_monitor() -> str:
    return order_book_monitor(CLICKHOUSE).text()


def clickhouse_market_overview() -> str:
    return market_overview(CLICKHOUSE).text()


def clickhouse_symbol_deep_dive() -> str:
    return symbol_deep_dive(CLICKHOUSE).text()


def clickhouse_trading_analytics() -> str:
    return trading_analytics(CLICKHOUSE).text()


def prometheus_system_health() -> str:
    return system_health().text()
