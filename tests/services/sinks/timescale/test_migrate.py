"""The schema: what the migrations make is what the definitions say, once, from anywhere."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from marketpipeline.errors import PermanentError
from marketpipeline.readers import HistoryQuery, Span
from marketpipeline.readers.timescale import select
from marketpipeline.sinks.migrations import Migration
from marketpipeline.sinks.timescale.connection import Connection, connect
from marketpipeline.sinks.timescale.migrate import migrate, migrations
from marketpipeline.store import TABLES, Column, Table, table_of
from psycopg.sql import SQL

from tests.services.sinks.stores import PostgresStore
from tests.support.postgres import RunningPostgres


@pytest.fixture
def store(postgres: RunningPostgres, database: str) -> PostgresStore:
    return PostgresStore(postgres, database)


@pytest.fixture
def connection(store: PostgresStore) -> Connection:
    return connect(store.settings, "test")


def columns(connection: Connection, table: Table) -> set[Column]:
    """Their order has no meaning: a migration adds at the end, and every statement names its columns."""
    names: dict[str, Any] = {"timestamp with time zone": "timestamptz"}
    rows: list[Any] = connection.execute(
        "SELECT column_name, data_type, is_nullable = 'YES' FROM information_schema.columns"
        " WHERE table_name = %s AND table_schema = current_schema()",
        (table.name,),
    ).fetchall()
    return {Column(name, names.get(kind, kind), nullable) for name, kind, nullable in rows}


def key(connection: Connection, table: Table) -> tuple[str, ...]:
    row = connection.execute(
        "SELECT array_agg(a.attname ORDER BY array_position(i.indkey::int2[], a.attnum))"
        " FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)"
        " WHERE i.indrelid = %s::regclass AND i.indisprimary",
        (table.name,),
    ).fetchone()
    assert row is not None
    return tuple(row[0])


def test_the_tables_are_as_defined(connection: Connection) -> None:
    migrate(connection)
    for table in TABLES:
        assert columns(connection, table) == set(table.columns), table.name
        assert key(connection, table) == table.key, table.name


def test_events_are_read_along_an_index_in_order_of_the_exchanges_time(connection: Connection) -> None:
    migrate(connection)
    since = datetime(2024, 8, 8, tzinfo=UTC)
    for span in (Span(since, None, 5), Span(None, since, 5), Span()):
        statement = select(HistoryQuery(table_of("feed_events"), {"symbol": "a:B", "kind": "gap"}, span))
        with connection.transaction():
            connection.execute("SET LOCAL enable_seqscan = off")
            connection.execute("SET LOCAL enable_bitmapscan = off")
            plan: list[Any] = connection.execute(SQL("EXPLAIN ") + statement.sql, statement.values).fetchall()
        scans = [line for (line,) in plan if "Scan" in line and "Subquery" not in line]
        assert len(scans) == 1, plan
        assert "feed_events_by_exchange_time" in scans[0], plan


def test_migrating_again_changes_nothing(connection: Connection) -> None:
    newest = migrate(connection)
    before = connection.execute("SELECT * FROM marketpipeline_migrations ORDER BY version").fetchall()
    assert migrate(connection) == newest == len(before)
    assert connection.execute("SELECT * FROM marketpipeline_migrations ORDER BY version").fetchall() == before


def test_processes_that_start_at_once_wait_for_one_another(store: PostgresStore) -> None:
    errors: list[Exception] = []

    def start() -> None:
        try:
            sink = store.sink()
            sink.open()
            sink.close()
        except Exception as error:  # noqa: BLE001 - told to the test
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.query("SELECT count(*) FROM marketpipeline_migrations") == [(len(migrations()),)]


def test_only_what_is_missing_is_applied(connection: Connection) -> None:
    known = migrations()
    migrate(connection, known[:1])
    more = Migration(len(known) + 1, "more", "CREATE TABLE more (id int); INSERT INTO more VALUES (1)")
    assert migrate(connection, (*known, more)) == more.version
    assert connection.execute("SELECT id FROM more").fetchall() == [(1,)]


def test_one_that_fails_leaves_the_version_before(connection: Connection) -> None:
    known = migrations()
    broken = Migration(len(known) + 1, "broken", "CREATE TABLE half (id int); SELECT 1 / 0")
    with pytest.raises(psycopg.DataError):
        migrate(connection, (*known, broken))
    assert connection.execute("SELECT to_regclass('half'), to_regclass('trades')").fetchone() == (None, None)
    assert migrate(connection) == len(known)


def test_the_schema_of_a_newer_release_is_refused(store: PostgresStore, connection: Connection) -> None:
    newer = Migration(len(migrations()) + 3, "newer", "SELECT 1")
    migrate(connection, (*migrations(), newer))
    with pytest.raises(
        PermanentError,
        match=f"schema is version {newer.version}, this release knows up to {len(migrations())}: run the",
    ):
        store.sink().open()
