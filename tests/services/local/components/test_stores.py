"""PostgreSQL, Valkey and ClickHouse of one machine: a password is asked for, and what was written survives a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from marketpipeline.local.component import NotReady
from marketpipeline.local.components.postgres import Postgres
from marketpipeline.local.components.valkey import Valkey

from tests.conftest import free_port
from tests.support.clickhouse import PASSWORD as CLICKHOUSE_PASSWORD
from tests.support.clickhouse import RunningClickHouse
from tests.support.server import RunningServer

PASSWORD = "a-password"


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[tuple[Postgres, RunningServer]]:
    component = Postgres(folder=tmp_path / "postgres", port=free_port(), password=PASSWORD)
    server = RunningServer(component, tmp_path / "postgres.log")
    server.start()
    yield component, server
    server.stop()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[tuple[Valkey, RunningServer]]:
    component = Valkey(folder=tmp_path / "valkey", port=free_port(), password=PASSWORD)
    server = RunningServer(component, tmp_path / "valkey.log")
    server.start()
    yield component, server
    server.stop()


def test_postgres(postgres: tuple[Postgres, RunningServer], tmp_path: Path) -> None:
    component, server = postgres
    with psycopg.connect(component.url, password=PASSWORD) as connection:
        connection.execute("CREATE TABLE t (n int)")
        connection.execute("INSERT INTO t VALUES (7)")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(component.url, password="wrong")
    assert PASSWORD not in component.url
    server.kill()
    server.start()
    with psycopg.connect(component.url, password=PASSWORD) as connection:
        assert connection.execute("SELECT n FROM t").fetchall() == [(7,)]
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)


def test_a_cluster_whose_making_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    component = Postgres(folder=tmp_path / "postgres", port=free_port(), password=PASSWORD)
    component.prepare()
    half = tmp_path / "postgres" / "data.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    server = RunningServer(component, tmp_path / "postgres.log")
    server.start()
    assert component.check() == {}
    server.stop()
    with pytest.raises(NotReady):
        component.check()


def test_valkey(valkey: tuple[Valkey, RunningServer]) -> None:
    component, server = valkey
    client = redis.Redis.from_url(component.url, password=PASSWORD)
    client.set("k", "v")
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(component.url).ping()
    server.kill()
    with pytest.raises(NotReady):
        component.check()
    server.start()
    assert client.get("k") == b"v"


def test_clickhouse(clickhouse: RunningClickHouse) -> None:
    component = clickhouse.component
    with clickhouse.client() as client:
        client.command("CREATE OR REPLACE TABLE kept (n Int64) ENGINE = MergeTree ORDER BY n")
        client.insert("kept", [[7]])
    assert CLICKHOUSE_PASSWORD not in component.url
    clickhouse.kill()
    with pytest.raises(NotReady):
        component.check()
    clickhouse.start()
    assert component.holds_data
    with clickhouse.client() as client:
        assert client.query("SELECT n FROM kept").result_rows == [(7,)]
