"""The daily job of the tiers: the archive is tidied, then the database gives up what the archive has whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from marketpipeline.backoff import Backoff
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.lake.asking import Lake
from marketpipeline.settings import TiersSettings
from marketpipeline.sinks.lake.tidy import tidy
from marketpipeline.sinks.tiers.moving import Mover
from marketpipeline.sinks.tiers.warm import Warm
from marketpipeline.telemetry import Telemetry

__all__ = ["mover", "run"]

_log = logging.getLogger(__name__)

_GIVE_UP_AFTER = 600.0
"""Seconds that a store may be away before the job fails, to be run again by its schedule."""


def run(settings: TiersSettings) -> int:
    """Once. Status 0 when done, also when days were kept back, which is said; 1 when a store stayed away."""
    telemetry = Telemetry.start(settings, "tiers", health=None)
    backoff, give_up = Backoff(initial=1.0, longest=30.0), time.monotonic() + _GIVE_UP_AFTER
    try:
        while True:
            try:
                _once(settings, datetime.now(UTC))
            except RetryableError as error:
                if time.monotonic() > give_up:
                    _log.error("gave up", extra={"error": str(error)})
                    return 1
                wait = backoff.next()
                _log.warning("will try again", extra={"error": str(error), "wait_s": round(wait, 1)})
                time.sleep(wait)
            else:
                return 0
    finally:
        telemetry.close()


def _once(settings: TiersSettings, now: datetime) -> None:
    stores = settings.stores.by_kind()
    done = tidy(_lake_of(stores), now, settings.cold_days)
    _log.info("archive is tidy", extra={"days_rewritten": {name: count for name, count in done.items() if count}})
    if "timescale" not in stores:
        return
    with mover(settings, "marketpipeline-tiers") as moving:
        moved = moving.clean_up(settings.warm_days, now)
    rows = sum(moved.days.values())
    said = {"days": len(moved.days), "rows": rows, "kept_back": len(moved.kept_back)}
    _log.info("database is cleaned up", extra=said)


@contextmanager
def mover(settings: TiersSettings, application: str) -> Iterator[Mover]:
    """What moves days between the stores of a pipeline. Raises PermanentError where one of them is not there."""
    stores = settings.stores.by_kind()
    if "timescale" not in stores:
        raise PermanentError("days are moved between TimescaleDB or PostgreSQL and the lake: enable sinks.timescale")
    store: Any = stores["timescale"]
    warm = Warm(store, application)
    try:
        yield Mover(warm, Lake(_lake_of(stores)), settings.grace_ms / 1_000)
    finally:
        warm.close()


def _lake_of(stores: dict[str, Any]) -> Any:
    if "lake" not in stores:
        raise PermanentError("days are moved to and from a lake: write sinks.lake")
    return stores["lake"]
