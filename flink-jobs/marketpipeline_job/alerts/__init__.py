"""The alerts, one module a family.

A family is a function from the settings to a Script that appends to the topic of alerts. What it may build on:
`book_measures` (a row a book event), `ticks_once` (each trade once) and `candle_groups`. A threshold comes from the
thresholds topic, by LAST_VALUE over the symbol in a stream that its records are put into, from the settings until one
has come. An alert is told at its transitions only, with an id that follows from its start.
"""

from __future__ import annotations

from marketpipeline.settings import JobSettings
from marketpipeline.topics import Feed

from marketpipeline_job.alerts.imbalance import extreme_imbalance
from marketpipeline_job.alerts.whale import whale_trade
from marketpipeline_job.sql import Script

__all__ = ["alerts"]

_OF_BOOK = (extreme_imbalance,)
_OF_TRADES = (whale_trade,)


def alerts(settings: JobSettings) -> Script:
    """Every family whose feed there is."""
    families = (
        *(_OF_BOOK if Feed.BOOK in settings.feeds else ()),
        *(_OF_TRADES if Feed.TRADES in settings.feeds else ()),
    )
    script = Script()
    for family in families:
        script += family(settings)
    return script
