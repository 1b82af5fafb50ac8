"""Extreme imbalance: a run of book events on one side whose |imbalance| is at least the medium threshold.

Told when it opens, when it reaches the high threshold for the first time, and when it closes: at the first event that
is not of the run. Where the book flips from one side to the other, that event closes one episode and opens the next.
"""

from __future__ import annotations

from marketpipeline.settings import JobSettings
from marketpipeline.topics import TopicKind

from marketpipeline_job.alerts.row import insert
from marketpipeline_job.ddl import sink, source
from marketpipeline_job.sql import Script, View, literal

__all__ = ["script"]

_OF_SYMBOL = "WINDOW of_symbol AS (PARTITION BY symbol ORDER BY arrival)"
_CARRIED = "symbol, event_time, receive_time, process_time, arrival, imbalance, medium, high"


def script(settings: JobSettings) -> Script:
    """`book_measures` and the thresholds to alerts."""
    return Script(
        tables=(source(settings, TopicKind.THRESHOLDS), sink(settings, TopicKind.ALERTS)),
        views=(_feed(), _in_force(settings), _steps(), _episodes(), _extremes()),
        inserts=(_insert(),),
    )


def _feed() -> View:
    return View(
        "imbalance_feed",
        """\
SELECT symbol, event_time, receive_time, process_time, arrival, imbalance,
    CAST(NULL AS DOUBLE) AS medium, CAST(NULL AS DOUBLE) AS high
FROM book_measures
UNION ALL
SELECT symbol, effective_from, effective_from, effective_from, arrival, CAST(NULL AS DOUBLE),
    imbalance_medium, imbalance_high
FROM thresholds
WHERE v = 1 AND symbol IS NOT NULL""",
    )


def _in_force(settings: JobSettings) -> View:
    """Each book event with its side: 1 buy, -1 sell, 0 neither, by the thresholds that hold at this event."""
    return View(
        "imbalance_sides",
        f"""\
SELECT *,
    CASE WHEN ABS(imbalance) >= medium THEN CAST(SIGN(imbalance) AS INT) ELSE 0 END AS side
FROM (
    SELECT symbol, event_time, receive_time, process_time, arrival, imbalance,
        COALESCE(LAST_VALUE(medium) OVER of_symbol, {literal(settings.thresholds["imbalance_medium"])}) AS medium,
        COALESCE(LAST_VALUE(high) OVER of_symbol, {literal(settings.thresholds["imbalance_high"])}) AS high
    FROM imbalance_feed
    {_OF_SYMBOL}
)
WHERE imbalance IS NOT NULL""",
    )


def _steps() -> View:
    """What an event does to episodes: 0 it closes the one before, 1 it belongs to one (and opens it, or not).

    Both in this order, in one row: two streams united would not keep the order.
    """
    return View(
        "imbalance_steps",
        f"""\
SELECT {_CARRIED}, belongs,
    CASE WHEN belongs = 1 THEN side ELSE side_before END AS side,
    belongs = 1 AND side <> side_before AS opens,
    belongs = 1 AND ABS(imbalance) >= high AS is_high
FROM (
    SELECT *,
        CASE
            WHEN side = side_before THEN ARRAY[1]
            WHEN side_before = 0 THEN ARRAY[1]
            WHEN side = 0 THEN ARRAY[0]
            ELSE ARRAY[0, 1]
        END AS steps
    FROM (
        SELECT *, COALESCE(LAG(side) OVER of_symbol, 0) AS side_before
        FROM imbalance_sides
        {_OF_SYMBOL}
    )
    WHERE side <> 0 OR side_before <> 0
)
CROSS JOIN UNNEST(steps) AS step (belongs)""",
    )


def _episodes() -> View:
    """Number and start of the episode; how many events above the high threshold the symbol has had in all."""
    return View(
        "imbalance_episodes",
        f"""\
SELECT {_CARRIED}, belongs, side, opens, is_high,
    SUM(CASE WHEN opens THEN 1 ELSE 0 END) OVER of_symbol AS episode,
    LAST_VALUE(CASE WHEN opens THEN event_time END) OVER of_symbol AS started_at,
    SUM(CASE WHEN is_high THEN 1 ELSE 0 END) OVER of_symbol AS highs
FROM imbalance_steps
{_OF_SYMBOL}""",
    )


def _extremes() -> View:
    """How far the episode went and how many events of it were above the high threshold.

    A maximum that starts again with each episode: the episode's number, doubled, is put before the measure, which is at
    most 1. As a decimal of 20 places nothing of the measure is lost.
    """
    ranked = "CAST(episode * 2 AS DECIMAL(14, 0)) + CAST(ABS(imbalance) AS DECIMAL(22, 20))"
    return View(
        "imbalance_extremes",
        f"""\
SELECT *,
    side * CAST(furthest - CAST(episode * 2 AS DECIMAL(14, 0)) AS DOUBLE) AS extreme,
    highs - highs_before AS highs_within
FROM (
    SELECT {_CARRIED}, belongs, side, opens, is_high, episode, started_at, highs,
        MAX(CASE WHEN belongs = 1 THEN {ranked} END) OVER of_symbol AS furthest,
        LAST_VALUE(CASE WHEN opens THEN highs - CASE WHEN is_high THEN 1 ELSE 0 END END) OVER of_symbol AS highs_before
    FROM imbalance_episodes
    {_OF_SYMBOL}
)""",
    )


def _insert() -> str:
    reached = "highs_within > 0"
    values = {
        "id": "'extreme_imbalance:' || symbol || ':' || CAST(started_at AS STRING)",
        "severity": f"CASE WHEN {reached} THEN 'HIGH' ELSE 'MEDIUM' END",
        "status": "CASE WHEN belongs = 0 THEN 'closed' WHEN opens THEN 'open' ELSE 'escalated' END",
        "side": "CASE WHEN side > 0 THEN 'buy' ELSE 'sell' END",
        "ended_at": "CASE WHEN belongs = 0 THEN event_time END",
        "value": "imbalance",
        "threshold": f"CASE WHEN {reached} THEN high ELSE medium END",
        "trade_id": "CAST(NULL AS BIGINT)",
    }
    transitions = "belongs = 0 OR opens OR (is_high AND highs_within = 1)"
    return insert("extreme_imbalance", values, f"FROM imbalance_extremes\nWHERE {transitions}")
