"""Questions to the stores: which one is asked first, and what happens when it is away.

The cache is asked for what is newest and the database when the cache is away or absent; the history is in the
database only. A question that no store of this pipeline can answer is NotKept.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from marketpipeline.api.arguments import Span
from marketpipeline.api.rows import JsonRow, iso
from marketpipeline.api.stores import Cache, Database, Newest
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.settings import ApiSettings
from marketpipeline.store import Table, table_of

__all__ = ["NotKept", "Reader"]

T = TypeVar("T")


class NotKept(PermanentError):
    """This pipeline has no store that keeps what is asked for."""


class Reader:
    """The stores of one pipeline. Methods raise RetryableError when every store that could answer is away."""

    def __init__(self, settings: ApiSettings) -> None:
        self.symbols = list(settings.symbols)
        self.windows = list(settings.windows)
        self._cache = Cache(settings.redis) if settings.redis is not None else None
        self._database = Database(settings.timescale) if settings.timescale is not None else None

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
        """The newest of each kind, and the name of the store that it is from."""
        away: RetryableError | None = None
        for name, store in (("redis", self._cache), ("timescale", self._database)):
            if store is None:
                continue
            try:
                return name, await store.newest(symbols, self.windows)
            except RetryableError as error:
                away = away or error
        raise away or NotKept("this pipeline has no store: both its sinks are disabled")

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


def _matches(row: JsonRow, table: Table, filters: Mapping[str, Any], span: Span) -> bool:
    if any(
        row[name] not in value if isinstance(value, list) else row[name] != value for name, value in filters.items()
    ):
        return False
    moment: str = row[table.time]
    return (span.since is None or moment >= iso(span.since)) and (span.until is None or moment < iso(span.until))
