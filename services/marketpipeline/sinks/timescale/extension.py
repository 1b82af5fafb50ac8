"""What TimescaleDB adds to the tables: hypertables, compression and retention, as the settings want them now.

Not a migration: it is looked at on every start, so that a changed retention takes effect and an extension that
was installed later is made use of. Without the extension everything works on ordinary tables, and
`marketpipeline maintenance` deletes what is too old.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from marketpipeline.errors import PermanentError
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.sinks.timescale.connection import Connection
from marketpipeline.sinks.timescale.migrate import LOCK_KEY
from marketpipeline.store import TABLES, Table

__all__ = ["OLDEST_VERSION", "apply_policies", "installed_version"]

OLDEST_VERSION = (2, 18)
"""The first release with the columnstore's procedures."""

_log = logging.getLogger(__name__)


def installed_version(connection: Connection) -> str | None:
    """The version of the extension in this database, or None."""
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    return str(row[0]) if row else None


def apply_policies(connection: Connection, store: TimescaleStoreSettings, tables: Sequence[Table] = TABLES) -> bool:
    """Make tables hypertables with compression and retention; False where there is no extension.

    Raises PermanentError for a version of it that is too old.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        version = _create_extension(connection)
        if version is None:
            return False
        if tuple(int(part) for part in version.split("-")[0].split(".")[:2]) < OLDEST_VERSION:
            wanted = ".".join(map(str, OLDEST_VERSION))
            raise PermanentError(f"TimescaleDB {version} is too old; install {wanted} or newer, or drop the extension")
        connection.execute("SET LOCAL statement_timeout = 0")
        for table in tables:
            if table.chunk_days is not None:
                _make_hypertable(connection, table, table.chunk_days)
        if not _is_community(connection):
            _log.warning("TimescaleDB's Apache edition: no compression, and retention is by `maintenance` only")
            return True
        for table in tables:
            if table.chunk_days is not None:
                _apply_to(connection, table, store)
    return True


def _create_extension(connection: Connection) -> str | None:
    version = installed_version(connection)
    if version is not None:
        return version
    offered = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'").fetchone()
    if offered is None:
        return None
    try:
        with connection.transaction():
            connection.execute("CREATE EXTENSION timescaledb")
    except psycopg.Error as error:
        _log.warning("TimescaleDB is there but cannot be created; ordinary tables it is", extra={"error": str(error)})
        return None
    return installed_version(connection)


def _is_community(connection: Connection) -> bool:
    row = connection.execute("SELECT current_setting('timescaledb.license', true)").fetchone()
    return row is not None and row[0] == "timescale"


def _make_hypertable(connection: Connection, table: Table, chunk_days: int) -> None:
    connection.execute(
        "SELECT create_hypertable(%s::regclass, by_range(%s, %s::interval),"
        " create_default_indexes => false, if_not_exists => true, migrate_data => true)",
        (table.name, table.time, timedelta(days=chunk_days)),
    )


def _apply_to(connection: Connection, table: Table, store: TimescaleStoreSettings) -> None:
    enabled = connection.execute(
        "SELECT compression_enabled FROM timescaledb_information.hypertables"
        " WHERE hypertable_schema = current_schema() AND hypertable_name = %s",
        (table.name,),
    ).fetchone()
    if not (enabled and enabled[0]):
        order = ", ".join(f"{name} DESC" for name in table.key if name not in table.segment)
        connection.execute(
            SQL(
                "ALTER TABLE {} SET (timescaledb.enable_columnstore, timescaledb.segmentby = {},"
                " timescaledb.orderby = {})"
            ).format(Identifier(table.name), Literal(", ".join(table.segment)), Literal(order))
        )
    kept = store.retention_days.get(table.group)
    compressed = store.compress_after_days if kept is None or store.compress_after_days < kept else None
    if not _has_policy(connection, table, "policy_compression", "compress_after", compressed):
        connection.execute("CALL remove_columnstore_policy(%s::regclass, if_exists => true)", (table.name,))
        if compressed is not None:
            connection.execute(
                "CALL add_columnstore_policy(%s::regclass, after => %s::interval)",
                (table.name, timedelta(days=compressed)),
            )
    if not _has_policy(connection, table, "policy_retention", "drop_after", kept):
        connection.execute("SELECT remove_retention_policy(%s::regclass, if_exists => true)", (table.name,))
        if kept is not None:
            connection.execute(
                "SELECT add_retention_policy(%s::regclass, %s::interval)", (table.name, timedelta(days=kept))
            )


def _has_policy(connection: Connection, table: Table, procedure: str, field: str, days: float | None) -> bool:
    """Whether the policy is as wanted: there with that age, or absent for None."""
    row = connection.execute(
        "SELECT (config ->> %s)::interval FROM timescaledb_information.jobs"
        " WHERE proc_name = %s AND hypertable_schema = current_schema() AND hypertable_name = %s",
        (field, procedure, table.name),
    ).fetchone()
    if row is None or days is None:
        return row is None and days is None
    present: timedelta = row[0]
    return present == timedelta(days=days)
