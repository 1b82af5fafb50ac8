"""The schema by numbered migrations, and whether the tables that are there are ours.

Snowflake commits every statement that changes a schema by itself, so each may be repeated (`IF NOT EXISTS`), and the
version is noted when the last one of a file is done. Two processes that start at once do the same twice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from snowflake.connector import SnowflakeConnection

from marketpipeline.errors import PermanentError
from marketpipeline.sink_kinds.snowflake import SnowflakeStoreSettings
from marketpipeline.sinks.migrations import Migration, in_package, missing
from marketpipeline.sinks.snowflake.connection import STATEMENT_SECONDS
from marketpipeline.sinks.snowflake.statements import STAGE, sql_type
from marketpipeline.store import Table

__all__ = ["check", "migrate", "migrations", "statements_of"]

_VERSIONS = (
    "CREATE TABLE IF NOT EXISTS marketpipeline_migrations (version NUMBER(9, 0) NOT NULL, name VARCHAR NOT NULL, "
    "applied_at TIMESTAMP_NTZ(6) NOT NULL)"
)
_NOTE = (
    "INSERT INTO marketpipeline_migrations (version, name, applied_at) SELECT %s, %s, SYSDATE() "
    "WHERE NOT EXISTS (SELECT 1 FROM marketpipeline_migrations WHERE version = %s)"
)
_COLUMNS = (
    "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
    "WHERE table_schema = CURRENT_SCHEMA()"
)
_log = logging.getLogger(__name__)


def migrations() -> tuple[Migration, ...]:
    """Every migration of this release, in order."""
    return in_package(__package__)


def statements_of(sql: str) -> Iterator[str]:
    """The statements of a file: each ends with a semicolon at the end of a line, comments have lines of their own."""
    lines = [line for line in sql.splitlines() if line.strip() and not line.lstrip().startswith("--")]
    for statement in "\n".join(lines).split(";\n"):
        if text := statement.strip().removesuffix(";"):
            yield text


def migrate(session: SnowflakeConnection, known: tuple[Migration, ...] | None = None) -> int:
    """Bring the schema to the newest version and return that.

    Raises PermanentError when it was made by a newer release, whose tables this one would misread.
    """
    known = migrations() if known is None else known
    with session.cursor() as cursor:
        cursor.execute(_VERSIONS, timeout=STATEMENT_SECONDS)
        row = cursor.execute("SELECT coalesce(max(version), 0) FROM marketpipeline_migrations").fetchone()
        present = int(row[0]) if row else 0
        for migration in missing(known, present, "the schema in Snowflake"):
            for statement in statements_of(migration.sql):
                cursor.execute(statement, timeout=STATEMENT_SECONDS)
            cursor.execute(_NOTE, (migration.version, migration.name, migration.version))
            _log.info("migrated", extra={"version": migration.version, "migration": migration.name})
        cursor.execute(f"CREATE STAGE IF NOT EXISTS {STAGE}")
    return known[-1].version


def check(session: SnowflakeConnection, tables: tuple[Table, ...], store: SnowflakeStoreSettings) -> None:
    """Raise PermanentError for a table that is there with other columns than ours."""
    found: dict[str, dict[str, tuple[str, bool]]] = {}
    with session.cursor() as cursor:
        for table, column, type_, nullable, default in cursor.execute(_COLUMNS).fetchall():
            found.setdefault(table.lower(), {})[column.lower()] = (type_, nullable == "YES" or default is not None)
    for wanted in tables:
        present = found.get(wanted.name, {})
        types = {
            column.name: sql_type(column).partition("(")[0].replace("VARCHAR", "TEXT") for column in wanted.columns
        }
        wrong = [
            f"column {name} {present[name][0] if name in present else '(absent)'}, not {type_}"
            for name, type_ in types.items()
            if name not in present or present[name][0] != type_
        ]
        wrong += [
            f"column {name} has to be given, and is not ours"
            for name, (_, may_be_absent) in present.items()
            if name not in types and not may_be_absent
        ]
        if wrong:
            raise PermanentError(
                f"spec.sinks.snowflake.schema: {store.database}.{store.schema_name}: the table {wanted.name} is there "
                f"and is not this sink's ({'; '.join(wrong)}); name another schema, or rename that table"
            )
