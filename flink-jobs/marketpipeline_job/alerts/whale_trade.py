"""Whale trades: one trade whose value is above the threshold. It is open and closed in the same moment."""

from __future__ import annotations

from marketpipeline.settings import JobSettings
from marketpipeline.topics import TopicKind

from marketpipeline_job.alerts.row import insert
from marketpipeline_job.ddl import sink
from marketpipeline_job.sql import PROCESS_TIME, Script

__all__ = ["script"]


def script(settings: JobSettings) -> Script:
    """`ticks_once`, which carries the threshold in force, to two records for each whale."""
    name = "'whale_trade:' || symbol || ':' || CAST(trade_time AS STRING) || ':' || CAST(trade_id AS STRING)"
    values = {
        "id": name,
        "severity": "'MEDIUM'",
        "side": "taker_side",
        "started_at": "trade_time",
        "ended_at": "CASE WHEN status = 'closed' THEN trade_time END",
        "event_time": "trade_time",
        "value": "price * quantity",
        "extreme": "price * quantity",
        "threshold": "whale_trade",
        "process_time": PROCESS_TIME,
    }
    query = """\
FROM (
    SELECT *, ARRAY['open', 'closed'] AS stages
    FROM ticks_once
    WHERE trade_id IS NOT NULL AND price * quantity > whale_trade
)
CROSS JOIN UNNEST(stages) AS stage (status)"""
    return Script(tables=(sink(settings, TopicKind.ALERTS),), inserts=(insert("whale_trade", values, query),))
