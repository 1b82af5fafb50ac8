"""The stores over TLS, with an authority of one's own and a certificate of the client: as managed ones ask for.

The servers of the test packages have no TLS, so PgBouncer and a proxy speak it before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.errors import MarketPipelineError, RetryableError
from marketpipeline.readers.redis import RedisReader
from marketpipeline.readers.timescale import TimescaleReader
from marketpipeline.sink_kinds.redis import RedisStoreSettings
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.sinks.base import Backpressure
from marketpipeline.sinks.redis import RedisSink
from marketpipeline.sinks.timescale.connection import connect

from tests.support.certificates import Authority
from tests.support.pgbouncer import pooling
from tests.support.postgres import PASSWORD as DATABASE_PASSWORD
from tests.support.postgres import RunningPostgres
from tests.support.tls_proxy import tls_before
from tests.support.valkey import PASSWORD as CACHE_PASSWORD
from tests.support.valkey import RunningValkey


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder / "ours")


@pytest.fixture(scope="module")
def told(authority: Authority) -> dict[str, Any]:
    """What a process is told that may come in."""
    own = authority.issue("client")
    texts = {"ca": authority.certificate, "certificate": own.certificate, "key": own.key}
    return {name: file.read_text() for name, file in texts.items()}


@pytest.fixture(scope="module")
def database(postgres: RunningPostgres, authority: Authority, folder: Path) -> Iterator[str]:
    server = authority.issue("database", "DNS:localhost")
    for file in (server.certificate, server.key, authority.certificate):
        file.chmod(0o644)
    for place in (folder, folder / "ours"):
        place.chmod(0o755)
    files = {"key": server.key, "cert": server.certificate, "ca": authority.certificate}
    lines = [f"client_tls_{name}_file = {file}" for name, file in files.items()]
    with pooling(postgres, folder, "client_tls_sslmode = verify-full", *lines) as port:
        yield f"postgresql://marketpipeline@localhost:{port}/marketpipeline"


@pytest.fixture(scope="module")
def cache(valkey: RunningValkey, authority: Authority) -> Iterator[str]:
    server = authority.issue("cache", "DNS:localhost")
    behind = int(valkey.url.rpartition(":")[2].partition("/")[0])
    with tls_before(behind, server, authority.certificate) as port:
        yield f"rediss://localhost:{port}/0"


def stranger(folder: Path, told: dict[str, Any]) -> dict[str, Any]:
    """The same with another authority than the server's."""
    return told | {"ca": Authority(folder / "theirs").certificate.read_text()}


async def test_sink_and_reader_of_the_database(database: str, told: dict[str, Any], folder: Path) -> None:
    password = {"url": database, "password": DATABASE_PASSWORD}
    store = TimescaleStoreSettings(**password, **told)
    with connect(store, "test") as connection:
        assert connection.pgconn.ssl_in_use
    reader = TimescaleReader(store, "test", patience=10)
    await reader.open()
    try:
        with pytest.raises(MarketPipelineError, match="no tables yet"):
            await reader.check()  # a database without our tables: so it was asked
    finally:
        await reader.close()
    with pytest.raises(Backpressure, match="certificate verify failed"):
        connect(TimescaleStoreSettings(**password, **stranger(folder, told)), "test")
    elsewhere = password | {"url": database.replace("localhost", "127.0.0.1")}
    with pytest.raises(Backpressure, match="does not match host name"):
        connect(TimescaleStoreSettings(**elsewhere, **told), "test")
    without = {"ca": told["ca"]}
    with pytest.raises(Backpressure):
        connect(TimescaleStoreSettings(**password, **without), "test")


async def test_sink_and_reader_of_the_cache(cache: str, told: dict[str, Any], folder: Path) -> None:
    known = {"password": CACHE_PASSWORD, "prefix": "tls"}
    for address in (cache, cache.replace("rediss", "redis")):
        store = RedisStoreSettings(url=address, **known, **told)
        sink = RedisSink(store)
        sink.open()
        sink.close()
        reader = RedisReader(store, "test", patience=10)
        await reader.check()
        await reader.close()
    with pytest.raises(Backpressure, match="certificate verify failed"):
        RedisSink(RedisStoreSettings(url=cache, **known, **stranger(folder, told))).open()
    reader = RedisReader(RedisStoreSettings(url=cache, **known, ca=told["ca"]), "test", patience=10)
    with pytest.raises(RetryableError):
        await reader.check()
    await reader.close()
