"""Questions to the stores: which one is asked first, and what happens when it is away.

The cache is asked for what is newest, the database for what the cache lacks (a value expired, or a new cache has not
got it yet), and for all of it when the cache is away or absent. The history is in the database only. A question that no
store of this pipeline can answer is NotKept.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from marketpipeline.api.arguments import Span
from marketpipeline.api.rows import JsonRow, iso
from marketpipeline.api.stores import Cache, Database, Newest
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.settings import ApiSettings
from marketpipeline.sink_kinds.redis import RedisStoreSettings
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.store import Table, table_of

__all__ = ["NotKept", "Reader"]

_log = logging.getLogger(__name__)

_IN_BOTH = ("trade", "book", "ticker")
"""Kinds that both stores keep, beside the candles; quotes are in the cache only."""

_ASK_AGAIN = 10.0
"""Seconds until the database is asked again for what it lacks too, as a feed that is off, or after it was away."""


class NotKept(PermanentError):
    """This pipeline has no store that keeps what is asked for."""


class Reader:
    """The stores of one pipeline. Methods raise RetryableError when every store that could answer is away."""

    def __init__(self, settings: ApiSettings) -> None:
        self.symbols = list(settings.symbols)
        self.windows = list(settings.windows)
        cache, database = settings.stores.of(RedisStoreSettings), settings.stores.of(TimescaleStoreSettings)
        self._cache = Cache(cache) if cache is not None else None
        self._database = Database(database) if database is not None else None
        self._absent: dict[str, tuple[float, frozenset[str]]] = {}
        self._away_until = 0.0

    async def open(self) -> None:
        """Begin to connect; stores may come later than the API."""
        if self._database is not None:
            await self._database.open()

    async def close(self) -> None:
        """Let go of every connection."""
        for store in (self._cache, self._database):
            if store is not None:
                await store.close()

    async def newest(self, symbols: Sequence[str]) -> tuple[str, dict[str, Newest]]:
        """The newest of each kind, and the store that it is from: `redis`, `timescale`, or `redis+timescale`."""
        away: RetryableError | None = None
        for name, store in (("redis", self._cache), ("timescale", self._database)):
            if store is None:
                continue
            try:
                found = await store.newest(symbols, self.windows)
            except RetryableError as error:
                away = away or error
            else:
                return await self._completed(found) if store is self._cache else (name, found)
        raise away or NotKept("this pipeline has no store: both its sinks are disabled")

    async def _completed(self, cached: dict[str, Newest]) -> tuple[str, dict[str, Newest]]:
        """What the cache has, and from the database what it lacks; while that is away, what the cache has."""
        now = time.monotonic()
        lacking = [symbol for symbol, newest in cached.items() if self._lacks(symbol, newest, now)]
        if self._database is None or not lacking or now < self._away_until:
            return "redis", cached
        try:
            stored = await self._database.newest(lacking, self.windows)
        except RetryableError as error:
            self._away_until = time.monotonic() + _ASK_AGAIN
            _log.warning("what the cache lacks is not looked for in the database", extra={"error": str(error)})
            return "redis", cached
        found = cached | {symbol: _merged(cached[symbol], stored[symbol]) for symbol in lacking}
        self._absent |= {symbol: (now + _ASK_AGAIN, _missing(found[symbol], self.windows)) for symbol in lacking}
        if found == cached:
            return "redis", cached
        return "timescale" if all(newest == Newest() for newest in cached.values()) else "redis+timescale", found

    def _lacks(self, symbol: str, newest: Newest, now: float) -> bool:
        """Whether the cache lacks something that the database, as far as is known, does not."""
        until, absent = self._absent.get(symbol, (0.0, frozenset()))
        return bool(_missing(newest, self.windows) - (absent if now < until else frozenset()))

    async def history(self, table: str, filters: Mapping[str, Any], span: Span) -> list[JsonRow]:
        """Rows of a table in order of time."""
        if self._database is None:
            raise NotKept("this pipeline keeps no history: its sink into TimescaleDB is disabled")
        return await self._database.rows(table_of(table), filters, span)

    async def alerts(self, filters: Mapping[str, Any], span: Span) -> list[JsonRow]:
        """Alerts, the newest first; without a database those that the cache still lists."""
        table = table_of("alerts")
        if self._database is not None:
            return await self._database.rows(table, filters, span, newest_first=True)
        if self._cache is None:
            raise NotKept("this pipeline has no store: both its sinks are disabled")
        return [row for row in await self._cache.alerts() if _matches(row, table, filters, span)][: span.limit]

    async def stores(self) -> dict[str, JsonRow]:
        """How each store is: whether it answers, and how quickly."""
        checks: dict[str, Callable[[], Awaitable[object]]] = {}
        if self._database is not None:
            checks["timescale"] = self._database.version
        if self._cache is not None:
            checks["redis"] = self._cache.ping
        return {name: await _check(check) for name, check in checks.items()}


async def _check(check: Callable[[], Awaitable[object]]) -> JsonRow:
    began = time.perf_counter()
    try:
        answer = await check()
    except RetryableError as error:
        return {"status": "failed", "error": str(error), "latency_ms": None, "schema_version": None}
    latency = round((time.perf_counter() - began) * 1000, 3)
    return {"status": "ok", "error": None, "latency_ms": latency, "schema_version": answer}


def _missing(newest: Newest, windows: Sequence[str]) -> frozenset[str]:
    kinds = {name for name in _IN_BOTH if getattr(newest, name) is None}
    return frozenset(kinds | set(windows) - newest.candles.keys())


def _merged(cached: Newest, stored: Newest) -> Newest:
    """What is cached is the newer."""
    kinds = {name: getattr(cached, name) or getattr(stored, name) for name in _IN_BOTH}
    return replace(cached, **kinds, candles=stored.candles | cached.candles)


def _matches(row: JsonRow, table: Table, filters: Mapping[str, Any], span: Span) -> bool:
    if any(
        row[name] not in value if isinstance(value, list) else row[name] != value for name, value in filters.items()
    ):
        return False
    moment: str = row[table.time]
    return (span.since is None or moment >= iso(span.since)) and (span.until is None or moment < iso(span.until))
