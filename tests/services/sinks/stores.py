"""A store beside its sink: what the contract needs to look into each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import clickhouse_connect
import psycopg
import pytest
import redis
from marketpipeline.lake.delta import open_table
from marketpipeline.sink_kinds.clickhouse import ClickHouseStoreSettings
from marketpipeline.sink_kinds.lake import LakeStoreSettings
from marketpipeline.sink_kinds.redis import RedisStoreSettings
from marketpipeline.sink_kinds.snowflake import SnowflakeStoreSettings
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.sinks.base import Sink
from marketpipeline.sinks.clickhouse import ClickHouseSink
from marketpipeline.sinks.lake import LakeSink
from marketpipeline.sinks.memory import MemorySink
from marketpipeline.sinks.redis import RedisSink
from marketpipeline.sinks.snowflake import SnowflakeSink
from marketpipeline.sinks.timescale import TimescaleSink
from marketpipeline.store import LatestKeys
from marketpipeline.store.clickhouse import client_options
from marketpipeline.store.lake import lake_table
from pydantic import SecretStr

from tests.support.clickhouse import RunningClickHouse
from tests.support.postgres import PASSWORD, RunningPostgres
from tests.support.seaweed import RunningSeaweed
from tests.support.server import RunningServer
from tests.support.snowflake import RunningSnowflake
from tests.support.valkey import RunningValkey

__all__ = ["STORES", "ClickHouseStore", "LakeStore", "MemoryStore", "PostgresStore", "Store", "ValkeyStore"]


class Store(Protocol):
    """What it holds, in the same words for every kind of store; None where there is nothing."""

    @property
    def server(self) -> RunningServer | None:
        """The server behind it, if there is one."""

    def sink(self) -> Sink:
        """A new sink into this store."""

    def newest_trade(self, symbol: str) -> int | None:
        """The id of the newest trade."""

    def newest_candle(self, symbol: str, interval: str) -> tuple[int, bool, float] | None:
        """Open time, closed and close of the newest candle."""

    def is_complete(self, symbol: str, interval: str) -> bool:
        """Whether the newest candle says that nothing of its beginning is missing."""

    def alert(self, alert_id: str) -> tuple[str, float] | None:
        """Status and extreme of an alert."""


class MemoryStore:
    """The sink into memory is its own store."""

    server: RunningServer | None = None

    def __init__(self) -> None:
        self._sink = MemorySink()

    def sink(self) -> Sink:
        return self._sink

    def newest_trade(self, symbol: str) -> int | None:
        return max((r.trade_id for r in self._of("trades", symbol)), default=None)

    def newest_candle(self, symbol: str, interval: str) -> tuple[int, bool, float] | None:
        found = [r for r in self._of("candles", symbol) if r.interval == interval]
        return max(((r.open_time, r.closed, r.close) for r in found), default=None)

    def is_complete(self, symbol: str, interval: str) -> bool:
        found = [r for r in self._of("candles", symbol) if r.interval == interval]
        return bool(max(found, key=lambda row: row.open_time).complete)

    def alert(self, alert_id: str) -> tuple[str, float] | None:
        rows: list[Any] = self._sink.rows("alerts")
        return next(((r.status, r.extreme) for r in rows if r.id == alert_id), None)

    def _of(self, table: str, symbol: str) -> list[Any]:
        rows: list[Any] = self._sink.rows(table)
        return [row for row in rows if row.symbol == symbol]


class PostgresStore:
    """A database of its own on the real server."""

    def __init__(self, server: RunningPostgres, database: str) -> None:
        self.server: RunningServer | None = server
        self.settings = TimescaleStoreSettings(url=server.url(database), password=SecretStr(PASSWORD))
        self.url = server.url(database, password=True)

    def sink(self) -> Sink:
        return TimescaleSink(self.settings)

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement, values).fetchall()

    def newest_trade(self, symbol: str) -> int | None:
        value: int | None = self.query("SELECT max(trade_id) FROM trades WHERE symbol = %s", symbol)[0][0]
        return value

    def newest_candle(self, symbol: str, interval: str) -> tuple[int, bool, float] | None:
        rows = self.query(
            "SELECT (extract(epoch FROM open_time) * 1000000)::bigint, closed, close FROM candles"
            " WHERE symbol = %s AND candles.interval = %s ORDER BY open_time DESC LIMIT 1",
            symbol,
            interval,
        )
        return rows[0] if rows else None

    def is_complete(self, symbol: str, interval: str) -> bool:
        newest = (
            "SELECT complete FROM candles WHERE symbol = %s AND candles.interval = %s ORDER BY open_time DESC LIMIT 1"
        )
        return bool(self.query(newest, symbol, interval)[0][0])

    def alert(self, alert_id: str) -> tuple[str, float] | None:
        rows = self.query("SELECT status, extreme FROM alerts WHERE id = %s", alert_id)
        return rows[0] if rows else None


class ValkeyStore:
    """A key prefix of its own on the real server."""

    def __init__(self, server: RunningValkey, *, expiry_ms: int = 60_000, alerts: int = 100) -> None:
        self.server: RunningServer | None = server
        self.settings = RedisStoreSettings(
            url=server.url, password=SecretStr(PASSWORD), prefix=server.prefix(), expiry_ms=expiry_ms, alerts=alerts
        )
        self.keys = LatestKeys(self.settings.prefix)

    def sink(self) -> Sink:
        return RedisSink(self.settings)

    def run(self, command: Callable[[redis.Redis], Any]) -> Any:
        with redis.Redis.from_url(self.settings.url, password=PASSWORD, decode_responses=True) as client:
            return command(client)

    def hash_fields(self, key: str) -> list[str]:
        fields: list[str] = self.run(lambda client: client.hkeys(key))
        return fields

    def latest(self, kind: str, symbol: str) -> dict[str, Any] | None:
        text = self.run(lambda client: client.hget(self.keys.latest(kind, symbol), "record"))
        return None if text is None else json.loads(text)

    def newest_trade(self, symbol: str) -> int | None:
        found = self.latest("trade", symbol)
        return None if found is None else found["trade_id"]

    def newest_candle(self, symbol: str, interval: str) -> tuple[int, bool, float] | None:
        found = self.latest(f"candle:{interval}", symbol)
        return None if found is None else (found["open_time"], found["closed"], found["close"])

    def is_complete(self, symbol: str, interval: str) -> bool:
        found = self.latest(f"candle:{interval}", symbol)
        return found is not None and bool(found["complete"])

    def alert(self, alert_id: str) -> tuple[str, float] | None:
        text = self.run(lambda client: client.hget(self.keys.alerts[0], alert_id))
        return None if text is None else (json.loads(text)["status"], json.loads(text)["extreme"])


class ClickHouseStore:
    """A database of its own on the real engine."""

    def __init__(self, server: RunningClickHouse, **settings: Any) -> None:
        self.server: RunningServer | None = server
        url = server.url(server.create_database())
        self.settings = ClickHouseStoreSettings(url=url, password=SecretStr(PASSWORD), **settings)

    def sink(self) -> Sink:
        return ClickHouseSink(self.settings)

    def query(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with clickhouse_connect.get_client(**client_options(self.settings, timeout=30)) as client:
            return [tuple(row) for row in client.query(statement, parameters=values).result_rows]

    def newest_trade(self, symbol: str) -> int | None:
        (row,) = self.query("SELECT maxOrNull(trade_id) FROM trades WHERE symbol = {symbol:String}", symbol=symbol)
        value: int | None = row[0]
        return value

    def newest_candle(self, symbol: str, interval: str) -> tuple[int, bool, float] | None:
        rows = self._candles("toUnixTimestamp64Micro(open_time), closed, close", symbol, interval)
        return rows[0] if rows else None

    def is_complete(self, symbol: str, interval: str) -> bool:
        return bool(self._candles("complete", symbol, interval)[0][0])

    def alert(self, alert_id: str) -> tuple[str, float] | None:
        rows = self.query("SELECT status, extreme FROM alerts FINAL WHERE id = {id:String}", id=alert_id)
        return rows[0] if rows else None

    def _candles(self, columns: str, symbol: str, interval: str) -> list[Any]:
        where = "symbol = {symbol:String} AND interval = {interval:String} ORDER BY open_time DESC LIMIT 1"
        return self.query(f"SELECT {columns} FROM candles FINAL WHERE {where}", symbol=symbol, interval=interval)


class LakeStore:
    """A lake of its own on the real server. What its sinks hold they write before anybody looks."""

    def __init__(self, settings: LakeStoreSettings, server: RunningSeaweed | None = None) -> None:
        self.server: RunningServer | None = server
        self.settings = settings
        self._sinks: list[LakeSink] = []

    def sink(self) -> Sink:
        self._sinks.append(LakeSink(self.settings))
        return self._sinks[-1]

    def rows(self, table: str) -> list[dict[str, Any]]:
        for sink in self._sinks:
            if sink.held_rows:
                sink.flush(everything=True)
        found = open_table(self.settings, lake_table(table))
        return [] if found is None else found.to_pyarrow_table().to_pylist()

    def newest_trade(self, symbol: str) -> int | None:
        return max((row["trade_id"] for row in self.rows("trades") if row["symbol"] == symbol), default=None)

    def newest_candle(self, symbol: str, interval: str) -> tuple[int, bool, float] | None:
        row = self._newest_candle(symbol, interval)
        return None if row is None else (round(row["open_time"].timestamp() * 1e6), row["closed"], row["close"])

    def is_complete(self, symbol: str, interval: str) -> bool:
        row = self._newest_candle(symbol, interval)
        return row is not None and bool(row["complete"])

    def alert(self, alert_id: str) -> tuple[str, float] | None:
        found = [row for row in self.rows("alerts") if row["id"] == alert_id]
        assert len(found) <= 1, "an alert stands twice in the lake"
        return (found[0]["status"], found[0]["extreme"]) if found else None

    def _newest_candle(self, symbol: str, interval: str) -> dict[str, Any] | None:
        found = [row for row in self.rows("candles") if (row["symbol"], row["interval"]) == (symbol, interval)]
        assert len({row["open_time"] for row in found}) == len(found), "a candle stands twice in the lake"
        return max(found, key=lambda row: row["open_time"], default=None)


class SnowflakeStore:
    """A schema of its own on the emulation. What its sinks hold they write before anybody looks."""

    def __init__(self, server: RunningSnowflake, **changes: Any) -> None:
        self.server: RunningServer | None = server
        self._server = server
        self.settings: SnowflakeStoreSettings = server.schema(**({"trades": True} | changes))
        self._sinks: list[SnowflakeSink] = []

    def sink(self) -> SnowflakeSink:
        self._sinks.append(SnowflakeSink(self.settings))
        return self._sinks[-1]

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        for sink in self._sinks:
            sink.flush(everything=True)
        return self.query_only(statement, *values)

    def query_only(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The same, and what is held stays held."""
        with self._server.session().cursor() as cursor:
            cursor.execute(f"USE SCHEMA {self.settings.schema_name}")
            return [tuple(row) for row in cursor.execute(statement, values).fetchall()]

    def newest_trade(self, symbol: str) -> int | None:
        value: int | None = self.query("SELECT max(trade_id) FROM trades WHERE symbol = %s", symbol)[0][0]
        return value

    def newest_candle(self, symbol: str, interval: str) -> tuple[int, bool, float] | None:
        rows = self._candles("DATE_PART(epoch_microsecond, open_time), closed, close", symbol, interval)
        return rows[0] if rows else None

    def is_complete(self, symbol: str, interval: str) -> bool:
        return bool(self._candles("complete", symbol, interval)[0][0])

    def alert(self, alert_id: str) -> tuple[str, float] | None:
        rows = self.query("SELECT status, extreme FROM alerts WHERE id = %s", alert_id)
        assert len(rows) <= 1, "an alert stands twice in the warehouse"
        return (rows[0][0], rows[0][1]) if rows else None

    def _candles(self, columns: str, symbol: str, interval: str) -> list[Any]:
        where = "symbol = %s AND interval = %s ORDER BY open_time DESC LIMIT 1"
        return self.query(f"SELECT {columns} FROM candles WHERE {where}", symbol, interval)


STORES: Mapping[str, Callable[[pytest.FixtureRequest], Store]] = {
    "clickhouse": lambda request: ClickHouseStore(request.getfixturevalue("clickhouse")),
    "lake": lambda request: LakeStore(request.getfixturevalue("seaweed").lake(), request.getfixturevalue("seaweed")),
    "redis": lambda request: ValkeyStore(request.getfixturevalue("valkey")),
    "snowflake": lambda request: SnowflakeStore(request.getfixturevalue("snowflake")),
    "timescale": lambda request: PostgresStore(
        request.getfixturevalue("postgres"), request.getfixturevalue("database")
    ),
}
"""By kind of sink: an empty store on the real server. A kind that is not here fails a test of the registry."""
