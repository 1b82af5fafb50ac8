"""Every symbol has a clock of its own; no watermark of Flink is used (docs/decisions/0020).

The clock of a symbol is the greatest time that its trades and heartbeats have reached, in the order of its partition.
That order is the same when records are read again, so what is late and when a candle closes is the same too. No other
symbol or partition can hold it up, or run ahead of it.

`ticks` is the stream of trades and heartbeats with what was known before and after each; what is built on it asks for
no time again. A trade that came before is dropped by its id, behind the clock: dropping is spread over tasks by id and
would lose the order that the clock needs. Rows that close a candle go the same way, so as not to overtake its trades.
"""

from __future__ import annotations

from collections.abc import Sequence

from marketpipeline.alert_kinds import watched_alerts
from marketpipeline.records import LateTrade
from marketpipeline.schema import microseconds
from marketpipeline.settings import JobSettings
from marketpipeline.topics import Feed, TopicKind

from marketpipeline_job.ddl import columns, sink, source
from marketpipeline_job.deadletters import dead_letters
from marketpipeline_job.sql import PROCESS_TIME, Script, View, lines, literal

__all__ = ["clock", "nested"]

_TRADE = (
    "v = 1 AND `type` = 'trade' AND symbol IS NOT NULL AND trade_time IS NOT NULL AND receive_time IS NOT NULL "
    "AND trade_id IS NOT NULL AND taker_side IN ('buy', 'sell') AND price > 0e0 AND quantity > 0e0"
)
_HEARTBEAT = "v = 1 AND `type` = 'heartbeat' AND symbol IS NOT NULL AND event_time IS NOT NULL"
_CARRIED = ("trade_time", "receive_time", "trade_id", "price", "quantity", "taker_side")
_OF_SYMBOL = "WINDOW of_symbol AS (PARTITION BY symbol ORDER BY arrival)"


def clock(settings: JobSettings) -> Script:
    """Trades, heartbeats and thresholds to `ticks_once`; late trades to their topic."""
    fault = ((f"NOT COALESCE({_TRADE}, FALSE)", "no trade of version 1 with all its fields"),)
    reported, faults = dead_letters(settings, TopicKind.TRADES, f"COALESCE({_HEARTBEAT}, FALSE)", fault)
    kinds = (TopicKind.TRADES, TopicKind.THRESHOLDS)
    own = Script(
        tables=tuple(source(settings, kind) for kind in kinds),
        views=(_feed(), _clocked(settings), _ticks(settings), _once()),
    )
    if settings.windows:  # without candles no trade is late for one
        own += Script(tables=(sink(settings, TopicKind.LATE),), inserts=(_late(),))
    return own + Script(tables=(reported,), inserts=(faults,))


def nested(windows: Sequence[str]) -> list[int]:
    """Widths, in microseconds, whose windows lie in no smaller one's: every window's end is an end of one of these."""
    widths = sorted(microseconds(window) for window in windows)
    return [width for n, width in enumerate(widths) if not any(width % smaller == 0 for smaller in widths[:n])]


def _thresholds() -> list[str]:
    """Names of the thresholds that are held against trades."""
    kinds = (kind for kind in watched_alerts().values() if kind.feed is Feed.TRADES)
    return [threshold.name for kind in kinds for threshold in kind.thresholds]


def _feed() -> View:
    """Trades and heartbeats in one stream, in the order of their partition, and the thresholds among them."""
    of_trade = [
        "symbol",
        "COALESCE(trade_time, event_time) AS reached",
        *_CARRIED,
        *(f"CAST(NULL AS DOUBLE) AS {name}" for name in _thresholds()),
    ]
    nulls = ["BIGINT", "BIGINT", "BIGINT", "BIGINT", "DOUBLE", "DOUBLE", "STRING"]
    of_threshold = ["symbol", *(f"CAST(NULL AS {kind})" for kind in nulls), *_thresholds()]
    columns_of_trade = lines([*of_trade, "FALSE AS is_threshold", "arrival"])
    trades = f"SELECT\n{columns_of_trade}\nFROM trades\nWHERE ({_TRADE})\n   OR ({_HEARTBEAT})"
    thresholds = (
        f"SELECT\n{lines([*of_threshold, 'TRUE', 'arrival'])}\nFROM thresholds\nWHERE v = 1 AND symbol IS NOT NULL"
    )
    return View("trade_feed", f"{trades}\nUNION ALL\n{thresholds}")


def _clocked(settings: JobSettings) -> View:
    """The clock, the newest trade and the thresholds in force after each row; `since` is where the symbol began."""
    in_force = (
        f"COALESCE(LAST_VALUE({name}) OVER of_symbol, {literal(settings.thresholds[name])}) AS {name}"
        for name in _thresholds()
    )
    fields = [
        "symbol",
        *_CARRIED,
        "is_threshold",
        "arrival",
        "MAX(reached) OVER of_symbol AS clock",
        "MAX(trade_time) OVER of_symbol AS newest",
        "FIRST_VALUE(reached) OVER of_symbol AS since",
        *in_force,
    ]
    return View("trade_clock", f"SELECT\n{lines(fields)}\nFROM trade_feed\n{_OF_SYMBOL}")


def _ticks(settings: JobSettings) -> View:
    """`crosses`: the clock has passed an end, so that candles may close. `late`: the trade's candle has closed."""
    lateness, widths = settings.allowed_lateness_ms * 1_000, nested(settings.windows)
    moved = (f"(clock - {lateness}) / {width} > (clock_before - {lateness}) / {width}" for width in widths)
    late = (f"trade_time - MOD(trade_time, {width}) + {width + lateness} <= clock" for width in widths)
    before = ["LAG(clock) OVER of_symbol AS clock_before", "LAG(newest) OVER of_symbol AS newest_before"]
    kept = ["symbol", *_CARRIED, "arrival", "clock", "since", *_thresholds()]
    inner = f"SELECT\n{lines([*kept, *before])}\nFROM trade_clock\nWHERE NOT is_threshold\n{_OF_SYMBOL}"
    fields = [
        *kept,
        "clock_before",
        "newest_before",
        f"COALESCE({' OR '.join(moved) or 'FALSE'}, FALSE) AS crosses",
        f"COALESCE({' OR '.join(late) or 'FALSE'}, FALSE) AS late",
    ]
    return View("ticks", f"SELECT\n{lines(fields)}\nFROM (\n{inner}\n)")


def _once() -> View:
    """Each trade once, and the heartbeats that close candles; a clock is passed once, so it is their id."""
    ranked = (
        "SELECT *, ROW_NUMBER() OVER (PARTITION BY symbol, COALESCE(trade_id, -clock) ORDER BY arrival) AS nth\n"
        "FROM ticks\nWHERE trade_id IS NOT NULL OR crosses"
    )
    changed = ("clock", "since", "clock_before", "newest_before", "crosses", "late")
    kept = ("symbol", *_CARRIED, *changed, *_thresholds())
    return View("ticks_once", f"SELECT {', '.join(kept)}\nFROM (\n{ranked}\n)\nWHERE nth = 1")


def _late() -> str:
    """Late trades, once.

    The type is unnested from an array so that, as for the other readers of `ticks_once`, no column of it is pruned:
    only then the planner sees that all read one stream, and drops what came before once for all.
    """
    values = {"v": "CAST(1 AS BIGINT)", "process_time": PROCESS_TIME}
    names = list(columns(LateTrade))
    into = ", ".join(f"`{name}`" for name in names)
    selected = lines(values.get(name, f"`{name}`") for name in names)
    return f"""\
INSERT INTO late ({into})
SELECT
{selected}
FROM (
    SELECT *, ARRAY['late_trade'] AS types
    FROM ticks_once
    WHERE trade_id IS NOT NULL AND late
)
CROSS JOIN UNNEST(types) AS unnested (`type`)"""
