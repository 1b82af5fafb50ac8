"""Reading Redis or Valkey: the newest record of each kind, and the recent alerts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from marketpipeline import records
from marketpipeline.errors import RetryableError
from marketpipeline.readers.questions import HistoryQuery
from marketpipeline.readers.reading import NewestRecords
from marketpipeline.records import Record
from marketpipeline.sink_kinds.redis import RedisStoreSettings
from marketpipeline.store.latest import ENTRIES, HEARTBEAT, LatestKeys
from marketpipeline.store.redis import redis_address, redis_options
from marketpipeline.store.rows import JsonRow, iso, json_of

__all__ = ["RedisCounters", "RedisReader"]

_log = logging.getLogger(__name__)

_RETRY = Retry(NoBackoff(), 1)
"""A connection of the pool may lead to a server that has gone: the second attempt is over a new one."""


@dataclass(slots=True)
class _Gathering:
    """Keys that are asked for together, each once, and the flight that brings their records."""

    keys: dict[str, None]
    flight: asyncio.Future[dict[str, Record | None]] = field(init=False)


class RedisReader:
    """The cache. What it keeps of the history are the alerts that it still lists."""

    name = "redis"

    def __init__(self, store: RedisStoreSettings, application: str, patience: float = 2.0) -> None:
        """`patience` is how many seconds a question may wait for the server."""
        self._keys = LatestKeys(store.prefix)
        self._client = _client(store, application, patience)
        self._flying = asyncio.Lock()
        self._gathering: _Gathering | None = None

    def keeps_newest(self, kind: str) -> bool:
        """Every kind that `latest` names."""
        return self._keys.keeps(kind)

    def keeps_history(self, table: str) -> bool:
        """Alerts only, and the recent ones of them."""
        return table == "alerts"

    async def open(self) -> None:
        """Nothing: the client connects when it is asked."""

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def check(self) -> int | None:
        """Whether it answers."""
        async with self._asking():
            await self._client.ping()
        return None

    async def newest(self, symbols: Sequence[str], kinds: Sequence[str]) -> dict[str, NewestRecords]:
        """The newest of each kind for each symbol, in one round trip: one for all questions that come while another is
        under way."""
        asked = {self._keys.latest(kind, symbol): (symbol, kind) for symbol in symbols for kind in kinds
                 if self.keeps_newest(kind)}  # fmt: skip
        if self._gathering is None:
            self._gathering = _Gathering({})
            self._gathering.flight = asyncio.ensure_future(self._fly(self._gathering))
        gathering = self._gathering
        gathering.keys |= dict.fromkeys(asked)
        records = await asyncio.shield(gathering.flight)
        found: dict[str, NewestRecords] = {symbol: {} for symbol in symbols}
        for key, (symbol, kind) in asked.items():
            record = records[key]
            if record is not None:
                found[symbol][kind] = record
        return found

    async def _fly(self, gathering: _Gathering) -> dict[str, Record | None]:
        """Ask for all that was gathered until the flight before is back."""
        async with self._flying:
            self._gathering = None
            async with self._asking():
                values = await _RETRY.call_with_retry(lambda: self._records(gathering.keys), _again)
        return {key: _decoded(value) for key, value in zip(gathering.keys, values, strict=True)}

    async def _records(self, keys: Iterable[str]) -> list[bytes | None]:
        """In one request, written and read here: the client's own pipeline takes a third of what an answer costs."""
        pool = self._client.connection_pool
        connection = await pool.get_connection()  # type: ignore[no-untyped-call] # the library has no types here
        try:
            await connection.send_packed_command(b"".join(map(_hget, keys)))
            return [await connection.read_response() for _ in keys]
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)

    async def seen(self, symbols: Sequence[str]) -> dict[str, int]:
        """By the newest records that it has, and the heartbeats beside them."""
        kinds = [HEARTBEAT, *(name for name, (_, entry) in ENTRIES.items() if entry.by is None)]
        found = await self.newest(symbols, kinds)
        return {symbol: max(map(_received, newest.values())) for symbol, newest in found.items() if newest}

    async def history(self, query: HistoryQuery) -> AsyncIterator[list[JsonRow]]:
        """The recent alerts that fit, in one batch."""
        names, _, index = self._keys.alerts
        async with self._asking():
            ids: Any = await self._client.zrevrange(index, 0, -1)
            values: Any = await self._client.hmget(names, ids) if ids else []
        alerts = [record for value in values if (record := _decoded(value)) is not None]
        rows = [row for row in map(json_of, alerts) if _fits(row, query)]
        if query.span.since is not None and not query.newest_first:
            rows = rows[::-1][: query.span.limit]
        elif query.newest_first:
            rows = rows[: query.span.limit]
        else:
            rows = rows[: query.span.limit][::-1]
        if rows:
            yield rows

    async def holdings(self) -> dict[str, set[str]]:
        """From the names of the keys."""
        found: dict[str, set[str]] = {}
        async with self._asking():
            async for key in self._client.scan_iter(self._keys.latest("*", "*"), count=1_000):
                kind, symbol = self._keys.parse(key.decode())
                found.setdefault(symbol, set()).add(kind)
        return found

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Translates errors; after a refusal the next question goes over a new connection, which may lead elsewhere."""
        try:
            yield
        except (redis.RedisError, OSError) as error:
            await self._client.connection_pool.disconnect(inuse_connections=False)
            raise RetryableError(f"the cache is away: {error}") from error


class RedisCounters:
    """Numbers that several processes of the API add to: what each client has asked."""

    def __init__(self, store: RedisStoreSettings, application: str, patience: float = 2.0) -> None:
        self._prefix = f"{store.prefix}:requests:"
        self._client = _client(store, application, patience)

    async def add(self, amounts: Mapping[str, int], seconds: int) -> dict[str, int]:
        """Add to each number, and give what it is now, in one round trip; after `seconds` without that it is gone."""
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for name, amount in amounts.items():
                    pipeline.incrby(self._prefix + name, amount)
                    pipeline.expire(self._prefix + name, seconds)
                found = await pipeline.execute()
        except (redis.RedisError, OSError) as error:
            await self._client.connection_pool.disconnect(inuse_connections=False)
            raise RetryableError(f"the cache is away: {error}") from error
        return dict(zip(amounts, map(int, found[::2]), strict=True))

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()


def _client(store: RedisStoreSettings, application: str, patience: float) -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(
        redis_address(store, store.url),
        password=store.password.get_secret_value() if store.password else None,
        client_name=application,
        socket_timeout=patience,
        socket_connect_timeout=patience,
        retry=_RETRY,
        **redis_options(store, store.url),
    )


async def _again(_: Exception) -> None:
    """The connection that failed is closed already."""


@lru_cache(maxsize=65_536)
def _hget(key: str) -> bytes:
    name = key.encode()
    return b"*3\r\n$4\r\nHGET\r\n$%d\r\n%b\r\n$6\r\nrecord\r\n" % (len(name), name)


def _decoded(value: bytes | None) -> Record | None:
    """A record as the sink stored it; None where there is none, or one that this release cannot read."""
    if value is None:
        return None
    try:
        return records.decode(value)
    except msgspec.MsgspecError as error:
        _log.warning("a record in the cache is of another release", extra={"error": str(error)})
        return None


def _fits(row: Mapping[str, Any], query: HistoryQuery) -> bool:
    for name, wanted in query.filters.items():
        if row[name] not in (wanted if isinstance(wanted, list) else [wanted]):
            return False
    moment: str = row[query.table.time]
    span = query.span
    return (span.since is None or moment >= iso(span.since)) and (span.until is None or moment < iso(span.until))


def _received(record: Any) -> int:
    """When a record of the cache was received: each kind that is kept there says so."""
    received: int = record.receive_time
    return received
