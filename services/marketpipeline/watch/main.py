"""`marketpipeline feed-watch`: which symbols have no recent data in the stores."""

from __future__ import annotations

import logging
import time

from marketpipeline.settings import ApiSettings
from marketpipeline.telemetry import configure_logging
from marketpipeline.watch.newest import newest_receive_times

__all__ = ["QUIET_SECONDS", "quiet_symbols", "run"]

QUIET_SECONDS = 300.0
"""The period of the watch. The newest record of any kind counts: a market without a trade still has a book."""

_log = logging.getLogger(__name__)


def run(settings: ApiSettings) -> int:
    """Log each symbol without recent data; 1 when there is one, else 0. Raises RetryableError when no store answers."""
    configure_logging(settings.pipeline, "feed-watch", settings.telemetry.log_level)
    now = time.time_ns() // 1_000
    ages = quiet_symbols(newest_receive_times(settings), now)
    for symbol, age in ages.items():
        said = "never" if age is None else f"{age:.0f} s ago"
        _log.warning("no recent data: the newest was received %s", said, extra={"symbol": symbol, "age_seconds": age})
    _log.info("watched", extra={"symbols": len(settings.symbols), "quiet": len(ages)})
    return 1 if ages else 0


def quiet_symbols(newest: dict[str, int | None], now: int) -> dict[str, float | None]:
    """Age in seconds of the newest record of each symbol that went quiet; None where there is no record at all.

    `newest` and `now` in microseconds.
    """
    ages = {symbol: None if received is None else (now - received) / 1e6 for symbol, received in newest.items()}
    return {symbol: age for symbol, age in ages.items() if age is None or age > QUIET_SECONDS}
