"""`marketpipeline staleness-check`: which symbols have no recent data in the stores."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from marketpipeline.readers import NewestRecords, readers_of
from marketpipeline.settings import ApiSettings
from marketpipeline.store import newest_kinds
from marketpipeline.telemetry import configure_logging

__all__ = ["STALE_SECONDS", "run", "stale_symbols"]

STALE_SECONDS = 300.0
"""The period of the check. The newest record of any kind counts: a market without a trade still has a book."""
_PATIENCE_SECONDS = 10.0

_log = logging.getLogger(__name__)


def run(settings: ApiSettings) -> int:
    """Log each symbol without recent data; 1 when there is one, else 0. Raises RetryableError when no store answers."""
    configure_logging(settings.pipeline, "staleness-check", settings.telemetry.log_level)
    ages = stale_symbols(asyncio.run(_newest(settings)), time.time_ns() // 1_000)
    for symbol, age in ages.items():
        said = "never" if age is None else f"{age:.0f} s ago"
        _log.warning("no recent data: the newest was received %s", said, extra={"symbol": symbol, "age_seconds": age})
    _log.info("checked", extra={"symbols": len(settings.symbols), "stale": len(ages)})
    return 1 if ages else 0


async def _newest(settings: ApiSettings) -> Mapping[str, NewestRecords]:
    async with readers_of(settings, "marketpipeline-staleness-check", _PATIENCE_SECONDS) as readers:
        return (await readers.newest(settings.symbols, newest_kinds(settings.windows))).symbols


def stale_symbols(symbols: Mapping[str, NewestRecords], now: int) -> dict[str, float | None]:
    """Age in seconds of the newest record of each symbol that went quiet; None where there is no record at all.

    `now` in microseconds.
    """
    ages = {}
    for symbol, newest in symbols.items():
        received = max((getattr(record, "receive_time", 0) for record in newest.values()), default=None)
        ages[symbol] = None if received is None else (now - received) / 1e6
    return {symbol: age for symbol, age in ages.items() if age is None or age > STALE_SECONDS}
