"""The SQL of the alert, for the environment of the stream job only."""

from __future__ import annotations

from marketpipeline.settings import JobSettings
from marketpipeline.topics import TopicKind
from marketpipeline_job.alerts.row import insert
from marketpipeline_job.ddl import sink
from marketpipeline_job.sql import PROCESS_TIME, Script

__all__ = ["script"]


def script(settings: JobSettings) -> Script:
    """`ticks_once`, which carries the thresholds in force, to two records for each block trade."""
    huge = "quantity > block_trade_huge"
    values = {
        "id": "'block_trade:' || symbol || ':' || CAST(trade_time AS STRING) || ':' || CAST(trade_id AS STRING)",
        "severity": f"CASE WHEN {huge} THEN 'HIGH' ELSE 'MEDIUM' END",
        "side": "taker_side",
        "started_at": "trade_time",
        "ended_at": "CASE WHEN status = 'closed' THEN trade_time END",
        "event_time": "trade_time",
        "value": "quantity",
        "extreme": "quantity",
        "threshold": f"CASE WHEN {huge} THEN block_trade_huge ELSE block_trade_large END",
        "process_time": PROCESS_TIME,
    }
    query = """\
FROM (
    SELECT *, ARRAY['open', 'closed'] AS statuses
    FROM ticks_once
    WHERE trade_id IS NOT NULL AND quantity > block_trade_large
)
CROSS JOIN UNNEST(statuses) AS unnested (status)"""
    return Script(tables=(sink(settings, TopicKind.ALERTS),), inserts=(insert("block_trade", values, query),))
