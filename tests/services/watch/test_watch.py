"""The watch, on the real stores with what the sinks write there."""

from __future__ import annotations

import json
import time

import psycopg
import pytest
import redis
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.records import Trade, encode
from marketpipeline.settings import ApiSettings, Stores
from marketpipeline.sink_kinds import StoreSettings
from marketpipeline.sink_kinds.redis import RedisStoreSettings
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.store import LatestKeys
from marketpipeline.watch.main import quiet_symbols, run
from marketpipeline.watch.newest import newest_receive_times
from pydantic import SecretStr

from tests.conftest import free_port
from tests.support import postgres as postgres_support
from tests.support import valkey as valkey_support
from tests.support.postgres import RunningPostgres
from tests.support.valkey import RunningValkey

SYMBOLS = ["x:A", "x:B", "x:C"]
SECOND = 1_000_000


def trade(symbol: str, receive_time: int) -> Trade:
    return Trade(
        symbol=symbol,
        event_time=1,
        trade_time=1,
        receive_time=receive_time,
        trade_id=1,
        price=1.0,
        quantity=1.0,
        taker_side="buy",
    )


def over(**stores: StoreSettings) -> ApiSettings:
    return ApiSettings(pipeline="crypto", symbols=SYMBOLS, windows=[], stores=Stores.model_validate(stores))


@pytest.fixture
def cached(valkey: RunningValkey) -> tuple[ApiSettings, redis.Redis]:
    store = RedisStoreSettings(url=valkey.url, password=SecretStr(valkey_support.PASSWORD), prefix=valkey.prefix())
    client = redis.Redis.from_url(valkey.url, password=valkey_support.PASSWORD)
    return ApiSettings(
        pipeline="crypto", symbols=SYMBOLS, windows=[], stores=Stores.model_validate({"redis": store})
    ), client


def test_in_the_cache(cached: tuple[ApiSettings, redis.Redis], capsys: pytest.CaptureFixture[str]) -> None:
    settings, client = cached
    store = settings.stores.of(RedisStoreSettings)
    assert store is not None
    keys, now = LatestKeys(store.prefix), time.time_ns() // 1_000
    client.hset(keys.latest("trade", "x:A"), "record", encode(trade("x:A", now)))
    client.hset(keys.latest("trade", "x:B"), "record", encode(trade("x:B", now - 900 * SECOND)))
    client.hset(keys.latest("quote", "x:A"), "record", b"not a record")
    assert newest_receive_times(settings) == {"x:A": now, "x:B": now - 900 * SECOND, "x:C": None}
    assert run(settings) == 1
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    warnings = {entry["symbol"]: entry["message"] for entry in said if entry["level"] == "WARNING"}
    assert warnings == {
        "x:B": "no recent data: the newest was received 900 s ago",
        "x:C": "no recent data: the newest was received never",
    }
    for symbol in SYMBOLS:
        client.hset(keys.latest("trade", symbol), "record", encode(trade(symbol, time.time_ns() // 1_000)))
    assert run(settings) == 0


def test_in_the_history(postgres: RunningPostgres, database: str) -> None:
    password = postgres_support.PASSWORD
    with psycopg.connect(postgres.url(database), password=password, autocommit=True) as connection:
        for table, clock in (("trades", "trade_time"), ("book_metrics", "event_time"), ("tickers", "receive_time")):
            extra = "" if clock == "receive_time" else f", {clock} timestamptz"
            connection.execute(f"CREATE TABLE {table} (symbol text, receive_time timestamptz{extra})".encode())
        connection.execute("INSERT INTO trades VALUES ('x:A', to_timestamp(100), to_timestamp(99))")
        connection.execute("INSERT INTO trades VALUES ('x:A', to_timestamp(50), to_timestamp(49))")
        connection.execute("INSERT INTO book_metrics VALUES ('x:A', to_timestamp(200.000001), to_timestamp(1))")
        connection.execute("INSERT INTO tickers VALUES ('x:B', to_timestamp(7))")
    store = TimescaleStoreSettings(url=postgres.url(database), password=SecretStr(password))
    settings = ApiSettings(
        pipeline="crypto", symbols=SYMBOLS, windows=[], stores=Stores.model_validate({"timescale": store})
    )
    assert newest_receive_times(settings) == {"x:A": 200_000_001, "x:B": 7_000_000, "x:C": None}


def test_stores_that_do_not_answer() -> None:
    cache = RedisStoreSettings(url=f"redis://127.0.0.1:{free_port()}/0", prefix="x")
    with pytest.raises(RetryableError, match="the cache does not answer"):
        run(over(redis=cache))
    history = TimescaleStoreSettings(url=f"postgresql://u@127.0.0.1:{free_port()}/d")
    with pytest.raises(RetryableError, match="the database does not answer"):
        run(
            ApiSettings(
                pipeline="crypto", symbols=SYMBOLS, windows=[], stores=Stores.model_validate({"timescale": history})
            )
        )
    with pytest.raises(PermanentError, match="there is no store to ask"):
        run(over())


def test_a_quiet_symbol_is_one_without_a_record_for_five_minutes() -> None:
    now = 1_000 * SECOND
    newest = {"a": now - 300 * SECOND, "b": now - 301 * SECOND, "c": None, "ahead": now + SECOND}
    assert quiet_symbols(newest, now) == {"b": 301.0, "c": None}
