"""The newest receive time of each symbol, from the cache where there is one, else from the history."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import psycopg
import redis
from psycopg import sql

from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.records import decode
from marketpipeline.settings import ApiSettings
from marketpipeline.sink_kinds.redis import RedisStoreSettings
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.store import TABLES, LatestKeys

__all__ = ["newest_receive_times"]

_KINDS = ("trade", "quote", "book", "ticker")
_TABLES = ("trades", "book_metrics", "tickers")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def newest_receive_times(settings: ApiSettings) -> dict[str, int | None]:
    """Microseconds by symbol, None for one without any record. Raises RetryableError, PermanentError."""
    if (cache := settings.stores.of(RedisStoreSettings)) is not None:
        return _from_cache(cache, settings.symbols)
    if (history := settings.stores.of(TimescaleStoreSettings)) is not None:
        return _from_history(history, settings.symbols)
    raise PermanentError("there is no store to ask: neither redis nor timescale is set")


def _from_cache(store: RedisStoreSettings, symbols: list[str]) -> dict[str, int | None]:
    keys = LatestKeys(store.prefix)
    password = store.password.get_secret_value() if store.password else None
    try:
        with redis.Redis.from_url(store.url, password=password, socket_timeout=10) as client:
            pipeline = client.pipeline(transaction=False)
            for symbol in symbols:
                for kind in _KINDS:
                    pipeline.hget(keys.latest(kind, symbol), "record")
            found = iter(pipeline.execute())
    except redis.RedisError as error:
        raise RetryableError(f"the cache does not answer: {error}") from error
    times = {symbol: [_receive_time(next(found)) for _ in _KINDS] for symbol in symbols}
    return {symbol: max((t for t in received if t is not None), default=None) for symbol, received in times.items()}


def _receive_time(value: bytes | None) -> int | None:
    if value is None:
        return None
    try:
        received = getattr(decode(value), "receive_time", None)
    except msgspec.MsgspecError:
        return None
    return received if isinstance(received, int) else None


def _from_history(store: TimescaleStoreSettings, symbols: list[str]) -> dict[str, int | None]:
    """The newest rows by each table's own time, which its key has an index for, and of those the receive time."""
    password = store.password.get_secret_value() if store.password else None
    newest: dict[str, int | None] = dict.fromkeys(symbols)
    tables = [table for table in TABLES if table.name in _TABLES]
    try:
        with psycopg.connect(store.url, password=password, connect_timeout=10) as connection:
            for symbol in symbols:
                for table in tables:
                    query = sql.SQL("SELECT receive_time FROM {} WHERE symbol = %s ORDER BY {} DESC LIMIT 1")
                    names = sql.Identifier(table.name), sql.Identifier(table.time)
                    row = connection.execute(query.format(*names), [symbol]).fetchone()
                    if row is not None:
                        received = round((row[0] - _EPOCH).total_seconds() * 1e6)
                        newest[symbol] = max(newest[symbol] or 0, received)
    except psycopg.Error as error:
        raise RetryableError(f"the database does not answer: {error}") from error
    return newest
