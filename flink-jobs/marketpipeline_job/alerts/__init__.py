"""The alerts, one module each, of the name that the alert has in the core (`marketpipeline.alert_kinds`).

A module's `script` is a function from the settings to a Script that appends to the topic of alerts. What it may build
on: `book_measures` (a row a book event), `ticks_once` (each trade once, with the thresholds in force of the alerts of
trades) and `candle_groups`. A threshold comes from the thresholds topic, by LAST_VALUE over the symbol in a stream that
its records are put into, from the settings until one has come. An alert is told at its transitions only, with an id
that follows from its start.
"""

from __future__ import annotations

from collections.abc import Callable

from marketpipeline.alert_kinds import AlertKind, watched_alerts
from marketpipeline.errors import PermanentError
from marketpipeline.registry import resolve
from marketpipeline.settings import JobSettings

from marketpipeline_job.sql import Script

__all__ = ["alerts", "script_of"]


def alerts(settings: JobSettings) -> Script:
    """Every alert whose feed there is. Raises PermanentError, as `script_of` does."""
    found = Script()
    for kind in watched_alerts().values():
        if kind.feed in settings.feeds:
            found += script_of(kind)(settings)
    return found


def script_of(kind: AlertKind) -> Callable[[JobSettings], Script]:
    """What makes the SQL of an alert. Raises PermanentError where it is not installed here."""
    target = kind.sql or f"{__name__}.{kind.name}:script"
    try:
        script: Callable[[JobSettings], Script] = resolve(target)
    except (ImportError, PermanentError) as error:
        raise PermanentError(f"alert {kind.name}: its SQL, {target}, does not load: {error}") from error
    return script
