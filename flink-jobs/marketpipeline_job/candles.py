"""Candles of every window: forming ones as they change, closed ones when the symbol's clock has passed them.

A candle is one row of a GROUP BY, replaced as it changes. Its first and last trade are the least and the greatest
(trade time, trade id), not the first and last to arrive. Trades and closings meet in the same group: a closing is a
row without a trade, made from the row that moved the clock over the candle's end.

A candle is complete when the job has read its symbol's records from before it opened, by as much as they may be out of
order: the allowed lateness. Where reading began is state of the job and follows from the topic alone, so a candle that
is made again from a topic whose beginning has been deleted says that it may lack trades (docs/decisions/0115).
"""

from __future__ import annotations

from marketpipeline.records import Candle
from marketpipeline.schema import microseconds
from marketpipeline.settings import JobSettings
from marketpipeline.topics import TopicKind

from marketpipeline_job.ddl import columns, upsert_sink
from marketpipeline_job.sql import PROCESS_TIME, Script, View, lines

__all__ = ["FLUSH_MS", "candles"]

FLUSH_MS = 50
"""A forming candle is sent at most so often, in milliseconds."""

_OFFSET = 10**18
"""Added to a time or an id its text has 19 digits, so that texts sort as the numbers do."""


def candles(settings: JobSettings) -> Script:
    """`ticks_once` to rows of candles."""
    return Script(
        tables=(upsert_sink(settings, TopicKind.CANDLES, flush_ms=FLUSH_MS),),
        views=(_parts(settings), _groups(settings)),
        inserts=(_insert(),),
    )


def _parts(settings: JobSettings) -> View:
    """Each tick once for every candle that it may change.

    A step is (interval, width, back): back 0 is the trade's own candle, n ≥ 1 the candle of the newest trade before,
    and those n - 1 behind it, which close if their end is between the clock before and now. So many can be open as fit
    into the allowed lateness, and one.
    """
    lateness = settings.allowed_lateness_ms * 1_000
    widths = [(window, microseconds(window)) for window in settings.windows]
    own = [_step(window, width, 0) for window, width in widths]
    closing = [_step(window, width, n) for window, width in widths for n in range(1, -(-lateness // width) + 2)]
    steps = f"CASE WHEN crosses THEN ARRAY[\n{lines([*own, *closing])}\n] ELSE ARRAY[\n{lines(own)}\n] END AS steps"
    trade = (f"CAST({name} + {_OFFSET} AS STRING)" for name in ("trade_time", "trade_id", "receive_time"))
    key = f"{' || '.join(trade)} || CAST(price AS STRING) AS trade_key"
    inner = f"SELECT *, {key},\n{steps}\nFROM ticks_once"
    opened = (
        "CASE WHEN back = 0 THEN trade_time - MOD(trade_time, width) "
        "ELSE newest_before - MOD(newest_before, width) - (back - 1) * width END AS open_time"
    )
    stepped = f"SELECT *, {opened}\nFROM (\n{inner}\n)\nCROSS JOIN UNNEST(steps) AS step (`interval`, width, back)"
    fields = ["symbol", "`interval`", "open_time", "since", "back", *(
        f"CASE WHEN back = 0 THEN {name} END AS {name}" for name in ("price", "quantity", "taker_side", "trade_key")
    )]  # fmt: skip
    end = f"open_time + width + {lateness}"
    belongs = "back = 0 AND trade_id IS NOT NULL AND NOT late"
    closes = f"back > 0 AND {end} > clock_before AND {end} <= clock"
    return View("candle_parts", f"SELECT\n{lines(fields)}\nFROM (\n{stepped}\n)\nWHERE ({belongs})\n   OR ({closes})")


def _step(window: str, width: int, back: int) -> str:
    return f"ROW(CAST('{window}' AS STRING), CAST({width} AS BIGINT), {back})"


def _groups(settings: JobSettings) -> View:
    fields = [
        "symbol",
        "`interval`",
        "open_time",
        "MAX(back) > 0 AS closed",
        f"open_time >= MIN(since) + {settings.allowed_lateness_ms * 1_000} AS complete",
        "MIN(trade_key) AS first_key",
        "MAX(trade_key) AS last_key",
        "MAX(price) AS high",
        "MIN(price) AS low",
        "SUM(quantity) AS volume",
        "SUM(price * quantity) AS quote_volume",
        "COUNT(price) AS trades",
        "SUM(CASE WHEN taker_side = 'buy' THEN quantity ELSE 0e0 END) AS bought",
        "SUM(CASE WHEN taker_side = 'sell' THEN quantity ELSE 0e0 END) AS sold",
    ]
    grouped = (
        f"SELECT\n{lines(fields)}\nFROM candle_parts\nGROUP BY symbol, `interval`, open_time\nHAVING COUNT(price) > 0"
    )
    cases = " ".join(f"WHEN '{window}' THEN {microseconds(window)}" for window in settings.windows)
    taken = [
        "*",
        f"CASE `interval` {cases} END AS width",
        "CAST(SUBSTRING(first_key FROM 58) AS DOUBLE) AS `open`",
        "CAST(SUBSTRING(last_key FROM 58) AS DOUBLE) AS `close`",
        f"CAST(SUBSTRING(first_key FROM 20 FOR 19) AS BIGINT) - {_OFFSET} AS first_trade_id",
        f"CAST(SUBSTRING(last_key FROM 20 FOR 19) AS BIGINT) - {_OFFSET} AS last_trade_id",
        f"CAST(SUBSTRING(last_key FROM 39 FOR 19) AS BIGINT) - {_OFFSET} AS receive_time",
    ]
    return View("candle_groups", f"SELECT\n{lines(taken)}\nFROM (\n{grouped}\n)")


def _insert() -> str:
    values = {
        "type": "'candle'",
        "v": "CAST(1 AS BIGINT)",
        "close_time": "open_time + width",
        "taker_buy_volume": "bought",
        "vwap": "quote_volume / volume",
        "buy_sell_ratio": "bought / NULLIF(sold, 0e0)",
        "price_change": "`close` / `open` - 1e0",
        "process_time": PROCESS_TIME,
    }
    names = list(columns(Candle))
    into = ", ".join(f"`{name}`" for name in names)
    selected = lines(values.get(name, f"`{name}`") for name in names)
    return f"INSERT INTO candles ({into})\nSELECT\n{selected}\nFROM candle_groups"
