"""Numbered migrations, applied in order under an advisory lock, so that any number of processes may start at once.

All that are missing are applied in one transaction: the database is at one version or the next.
"""

from __future__ import annotations

import logging

from psycopg.sql import SQL

from marketpipeline.errors import PermanentError
from marketpipeline.sinks.migrations import Migration, in_package, missing
from marketpipeline.sinks.timescale.connection import Connection
from marketpipeline.store import TABLES

__all__ = ["LOCK_KEY", "check_tables", "migrate", "migrations"]

LOCK_KEY = 0x6D61726B65747069
"""Of the advisory lock: `marketpi` in ASCII. Everything that changes the schema takes it."""

_VERSIONS = """
CREATE TABLE IF NOT EXISTS marketpipeline_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

_COLUMNS = """
SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns AS c
WHERE c.table_schema = ANY (current_schemas(false)) AND c.table_name = ANY (%s)
"""
_TYPES = {"timestamptz": "timestamp with time zone"}

_log = logging.getLogger(__name__)


def migrations() -> tuple[Migration, ...]:
    """Every migration of this release, in order."""
    return in_package(__package__)


def migrate(connection: Connection, known: tuple[Migration, ...] | None = None) -> int:
    """Bring the database to the newest version and return that. Does nothing when it is there.

    Raises PermanentError when the database was made by a newer release, whose tables this one would misread.
    """
    known = migrations() if known is None else known
    with connection.transaction():
        connection.execute("SET LOCAL statement_timeout = 0")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        connection.execute(_VERSIONS)
        row = connection.execute("SELECT coalesce(max(version), 0) FROM marketpipeline_migrations").fetchone()
        present = int(row[0]) if row else 0
        for migration in missing(known, present, "the database's schema"):
            connection.execute(SQL(migration.sql))
            connection.execute(
                "INSERT INTO marketpipeline_migrations (version, name) VALUES (%s, %s)",
                (migration.version, migration.name),
            )
            _log.info("schema changed", extra={"version": migration.version, "migration": migration.name})
    return known[-1].version


def check_tables(connection: Connection, url: str) -> None:
    """Raise PermanentError for a table with other columns than ours, as one that was there before us has them."""
    found: dict[str, dict[str, str]] = {}
    for table, column, type_ in connection.execute(_COLUMNS, ([table.name for table in TABLES],)):
        found.setdefault(table, {})[column] = type_
    for wanted in TABLES:
        present = found.get(wanted.name, {})
        types = {column.name: _TYPES.get(column.type, column.type) for column in wanted.columns}
        wrong = [
            f"column {name} {present.get(name, '(absent)')}, not {type_}"
            for name, type_ in types.items()
            if present.get(name) != type_
        ]
        if wrong:
            raise PermanentError(
                f"spec.sinks.timescale.url: {url}: the table {wanted.name} is there and is not this "
                f"sink's ({'; '.join(wrong)}); name another database, or rename that table"
            )
