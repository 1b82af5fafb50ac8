"""Alerts whose SQL comes with a plugin; those of this repository are rules of the Java functions (`flink-jobs/java`).

What a plugin's script may build on: `book_measures` (a row a book event), and `ticks_once` (each trade once, with a
column for each threshold in force of such alerts). It appends to the topic of alerts, with `row.insert`. An alert is
told at its transitions only, with an id that follows from its start.
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
    """Every alert that has SQL, where there is its feed. Raises PermanentError, as `script_of` does."""
    found = Script()
    for kind in watched_alerts().values():
        if kind.sql and kind.feed in settings.feeds:
            found += script_of(kind)(settings)
    return found


def script_of(kind: AlertKind) -> Callable[[JobSettings], Script]:
    """What makes the SQL of an alert. Raises PermanentError where it is not installed here."""
    try:
        script: Callable[[JobSettings], Script] = resolve(str(kind.sql))
    except (ImportError, PermanentError) as error:
        raise PermanentError(f"alert {kind.name}: its SQL, {kind.sql}, does not load: {error}") from error
    return script
