"""Trades: each once, candles of every window, what is late, and what the rules find.

Every symbol has a clock of its own, moved by its trades and heartbeats in the order of its partition; no watermark of
Flink is used (docs/decisions/0020). It, the candles and the ids that came are state of one function.
"""

from __future__ import annotations

from collections.abc import Sequence

from marketpipeline.alert_kinds import watched_alerts
from marketpipeline.records import Candle, LateTrade, TradeStatistics
from marketpipeline.schema import milliseconds
from marketpipeline.settings import JobSettings
from marketpipeline.topics import Feed, TopicKind

from marketpipeline_job.alerts.row import found
from marketpipeline_job.ddl import columns, sink, source, upsert_sink
from marketpipeline_job.deadletters import dead_letters
from marketpipeline_job.functions import TRADE_RULES, call, limits, widths, with_thresholds
from marketpipeline_job.sql import PROCESS_TIME, Script, View, lines

__all__ = ["FLUSH_MS", "IDS_KEPT_MS", "trades"]

FLUSH_MS = 50
"""A forming candle is sent at most so often, in milliseconds."""

IDS_KEPT_MS = 3_600_000
"""At least so long the ids of trades are known, by the clock of the machine, and as long as the smallest candle is
open: a trade that comes again later than that is late by the symbol's clock. Time that the job is down counts too."""

_TRADE = (
    "v = 1 AND `type` = 'trade' AND symbol IS NOT NULL AND trade_time IS NOT NULL AND receive_time IS NOT NULL "
    "AND trade_id IS NOT NULL AND taker_side IN ('buy', 'sell') AND price > 0e0 AND quantity > 0e0"
)
_HEARTBEAT = "v = 1 AND `type` = 'heartbeat' AND symbol IS NOT NULL AND event_time IS NOT NULL"


def trades(settings: JobSettings) -> Script:
    """Trades and heartbeats to candles, late trades and alerts; what is neither is a dead letter."""
    known = f"({_TRADE}\n            OR {_HEARTBEAT})"
    fault = f"CASE WHEN {known} IS NOT TRUE\n        THEN 'no trade of version 1 with all its fields' END"
    reported, faults = dead_letters(settings, TopicKind.TRADES, fault)
    own = Script(
        tables=(*(source(settings, kind) for kind in (TopicKind.TRADES, TopicKind.THRESHOLDS)), reported),
        functions=(TRADE_RULES,),
        views=(_events(), _found(settings), *_ticks()),
        inserts=(faults, found("trades_found")),
    ) + Script(tables=(sink(settings, TopicKind.ALERTS),))
    if settings.windows:  # without candles no trade is late for one
        tables = (
            upsert_sink(settings, TopicKind.CANDLES, flush_ms=FLUSH_MS),
            *(sink(settings, kind) for kind in (TopicKind.TRADE_STATISTICS, TopicKind.LATE)),
        )
        own += Script(tables=tables, inserts=(_candles(), _statistics(), _late()))
    return own


def _events() -> View:
    """What TradeEvent.ROW names, in its order: trades, heartbeats, and the changes of thresholds among them."""
    fields = {
        "symbol": ("symbol", "STRING"),
        "reached": ("COALESCE(trade_time, event_time)", "BIGINT"),
        "trade_time": ("trade_time", "BIGINT"),
        "receive_time": ("receive_time", "BIGINT"),
        "process_time": (PROCESS_TIME, "BIGINT"),
        "trade_id": ("trade_id", "BIGINT"),
        "price": ("price", "DOUBLE"),
        "quantity": ("quantity", "DOUBLE"),
        "taker_side": ("taker_side", "STRING"),
    }
    return with_thresholds("trade_events", "trades", fields, f"({_TRADE})\n   OR ({_HEARTBEAT})")


def _found(settings: JobSettings) -> View:
    shortest = min(map(milliseconds, settings.windows), default=0)
    arguments = {
        "settings": limits(settings),
        "windows": widths(settings),
        "lateness": f"CAST({settings.allowed_lateness_ms * 1_000} AS BIGINT)",
        "idsKept": f"CAST({max(IDS_KEPT_MS, shortest + settings.allowed_lateness_ms)} AS BIGINT)",
        "ticks": "TRUE" if _in_sql() else "FALSE",
    }
    return View("trades_found", call(TRADE_RULES, "trade_events", arguments, by_symbol=True))


def _in_sql() -> Sequence[str]:
    """Names of the thresholds of alerts of trades that a plugin has the SQL of."""
    kinds = (kind for kind in watched_alerts().values() if kind.feed is Feed.TRADES and kind.sql)
    return [threshold.name for kind in kinds for threshold in kind.thresholds]


def _ticks() -> tuple[View, ...]:
    """Each trade once, with the thresholds in force: what the SQL of a plugin's alerts builds on."""
    names = _in_sql()
    if not names:
        return ()
    fields = (
        "symbol",
        *(f"t.tick.{name} AS {name}" for name in ("trade_time", "receive_time", "trade_id", "price", "quantity")),
        "t.tick.taker_side AS taker_side",
        *(f"t.tick.limits['{name}'] AS {name}" for name in names),
    )
    return (View("ticks_once", f"SELECT\n{lines(fields)}\nFROM trades_found AS t\nWHERE t.tick IS NOT NULL"),)


def _candles() -> str:
    values = {
        "type": "'candle'",
        "v": "CAST(1 AS BIGINT)",
        "symbol": "symbol",
        "taker_buy_volume": "t.candle.bought",
        "vwap": "t.candle.quote_volume / t.candle.volume",
        "buy_sell_ratio": "t.candle.bought / NULLIF(t.candle.sold, 0e0)",
        "price_change": "t.candle.`close` / t.candle.`open` - 1e0",
        "process_time": PROCESS_TIME,
    }
    return _insert("candles", "candle", list(columns(Candle)), values)


def _statistics() -> str:
    """Of a candle that has closed."""
    values = {
        "type": "'trade_statistics'",
        "v": "CAST(1 AS BIGINT)",
        "symbol": "symbol",
        "taker_buy_volume": "t.candle.bought",
        "taker_sell_volume": "t.candle.sold",
        "vwap": "t.candle.quote_volume / t.candle.volume",
        "price_change": "t.candle.`close` / t.candle.`open` - 1e0",
        "range_bps": "(t.candle.high / t.candle.low - 1e0) * 1e4",
        "realised_volatility": "CASE WHEN t.candle.`returns` > 0 THEN SQRT(t.candle.squares) END",
        "process_time": PROCESS_TIME,
    }
    insert = _insert("trade_statistics", "candle", list(columns(TradeStatistics)), values)
    return f"{insert} AND t.candle.closed"


def _late() -> str:
    values = {"type": "'late_trade'", "v": "CAST(1 AS BIGINT)", "symbol": "symbol", "process_time": PROCESS_TIME}
    return _insert("late", "late", list(columns(LateTrade)), values)


def _insert(into: str, column: str, names: Sequence[str], values: dict[str, str]) -> str:
    listed = ", ".join(f"`{name}`" for name in names)
    selected = lines(values.get(name, f"t.{column}.`{name}`") for name in names)
    return f"INSERT INTO {into} ({listed})\nSELECT\n{selected}\nFROM trades_found AS t\nWHERE t.{column} IS NOT NULL"
