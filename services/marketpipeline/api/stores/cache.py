"""Reading Redis or Valkey."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from marketpipeline import records
from marketpipeline.api.rows import JsonRow, json_of
from marketpipeline.api.stores.newest import Newest
from marketpipeline.errors import RetryableError
from marketpipeline.sink_kinds.redis import RedisStoreSettings
from marketpipeline.store import LatestKeys

__all__ = ["Cache"]

_log = logging.getLogger(__name__)

_KINDS = ("trade", "quote", "book", "ticker")
_TIMEOUT = 2.0
"""Seconds that a request may wait for the server."""


class Cache:
    """Every method raises RetryableError while the server is away."""

    def __init__(self, store: RedisStoreSettings) -> None:
        self._keys = LatestKeys(store.prefix)
        self._client = redis.asyncio.Redis.from_url(
            store.url,
            password=store.password.get_secret_value() if store.password else None,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            retry=Retry(NoBackoff(), 1),
        )

    async def ping(self) -> None:
        """Whether it answers."""
        with _translated():
            await self._client.ping()

    async def newest(self, symbols: Sequence[str], windows: Sequence[str]) -> dict[str, Newest]:
        """The newest of each kind for each symbol, in one round trip."""
        kinds = [*_KINDS, *(f"candle:{window}" for window in windows)]
        with _translated():
            async with self._client.pipeline(transaction=False) as pipeline:
                for symbol in symbols:
                    for kind in kinds:
                        pipeline.hget(self._keys.latest(kind, symbol), "record")
                values = iter(await pipeline.execute())
        found = {}
        for symbol in symbols:
            rows = {kind: _read(next(values)) for kind in kinds}
            candles = {window: row for window in windows if (row := rows[f"candle:{window}"]) is not None}
            found[symbol] = Newest(rows["trade"], rows["quote"], rows["book"], rows["ticker"], candles)
        return found

    async def alerts(self) -> list[JsonRow]:
        """The recent alerts, the newest first."""
        names, _, index = self._keys.alerts
        with _translated():
            ids: Any = await self._client.zrevrange(index, 0, -1)
            values: Any = await self._client.hmget(names, ids) if ids else []
        return [row for value in values if (row := _read(value)) is not None]

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()


def _read(value: bytes | None) -> JsonRow | None:
    if value is None:
        return None
    try:
        return json_of(records.decode(value))
    except msgspec.MsgspecError as error:
        _log.warning("a record in the cache is of another release", extra={"error": str(error)})
        return None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise RetryableError(f"the cache is away: {error}") from error
