"""`marketpipeline staleness-check`: which symbols have no recent data in the stores."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from marketpipeline.readers import readers_of
from marketpipeline.record_kinds import KINDS
from marketpipeline.settings import ApiSettings
from marketpipeline.sink_kinds import sink_kinds
from marketpipeline.telemetry import configure_logging

__all__ = ["STALE_SECONDS", "run", "stale_symbols"]

STALE_SECONDS = 300.0
"""The period of the check. A market without a trade still has a book, and one without either has heartbeats: ingestion
writes them for as long as it has everything of a feed."""
_PATIENCE_SECONDS = 10.0

_log = logging.getLogger(__name__)


def run(settings: ApiSettings) -> int:
    """Log each symbol without recent data; 1 when there is one, else 0. Raises RetryableError when no store answers."""
    configure_logging(settings.pipeline, "staleness-check", settings.telemetry.log_level)
    if settings.feeds and not _is_kept(settings):
        feeds = ", ".join(settings.feeds)
        _log.info("nothing to check: no store of this pipeline keeps anything of its feeds", extra={"feeds": feeds})
        return 0
    ages = stale_symbols(settings.symbols, asyncio.run(_seen(settings)), time.time_ns() // 1_000)
    for symbol, age in ages.items():
        said = "never" if age is None else f"{age:.0f} s ago"
        _log.warning("no recent data: the newest was received %s", said, extra={"symbol": symbol, "age_seconds": age})
    _log.info("checked", extra={"symbols": len(settings.symbols), "stale": len(ages)})
    return 1 if ages else 0


def _is_kept(settings: ApiSettings) -> bool:
    """Whether a sink of these stores reads a topic that one of the feeds is written to."""
    read = {topic for name in settings.stores.by_kind() for topic in sink_kinds()[name].topics}
    feeds = frozenset(settings.feeds)
    return any(kind.topic in read for kind in KINDS if kind.feeds is not None and kind.feeds & feeds)


async def _seen(settings: ApiSettings) -> Mapping[str, int]:
    async with readers_of(settings, "marketpipeline-staleness-check", _PATIENCE_SECONDS) as readers:
        return await readers.seen(settings.symbols)


def stale_symbols(symbols: Sequence[str], seen: Mapping[str, int], now: int) -> dict[str, float | None]:
    """Age in seconds of what was received last of each symbol that has nothing recent; None where nothing ever was.

    `seen` and `now` in microseconds.
    """
    ages = {symbol: (now - seen[symbol]) / 1e6 if symbol in seen else None for symbol in symbols}
    return {symbol: age for symbol, age in ages.items() if age is None or age > STALE_SECONDS}
