"""The database's rows to files and back, by COPY in its text form: any release of the server reads it.

    <table>.copy.gz     the rows, a line each

All tables are of one moment, a snapshot of the database. Rows that are brought back go by the same rule as those of a
sink: one that is there already gives way only to one that is truer.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from psycopg import IsolationLevel
from psycopg.sql import SQL, Composed, Identifier

from marketpipeline.errors import PermanentError
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.sinks.backup.place import Place
from marketpipeline.sinks.timescale.connection import Connection, connect, translated
from marketpipeline.sinks.timescale.extension import apply_policies
from marketpipeline.sinks.timescale.migrate import migrate
from marketpipeline.sinks.timescale.writer import upsert
from marketpipeline.store import TABLES, Table

__all__ = ["Copied", "dump", "fill", "is_recovered"]

_LEVEL = 1
_CHUNK = 1 << 18
_LOCK_KEY = 0x6D61726B65747270
"""Of the advisory lock of recoveries: `marketrp` in ASCII."""
_NOTE = "CREATE TABLE IF NOT EXISTS marketpipeline_recovery (source text PRIMARY KEY, at timestamptz DEFAULT now())"
_BESIDE = {
    "symbols": (
        ("symbol", "seen_at"),
        SQL("(symbol) DO UPDATE SET seen_at = greatest(symbols.seen_at, EXCLUDED.seen_at)"),
    ),
    "archived_days": (
        ("table_name", "day", "rows", "archived_at", "restored_until"),
        SQL("(table_name, day) DO NOTHING"),
    ),
}
"""What is beside the tables of records: its columns, and what becomes of a row that is there already. Without the days
that the archive answers for nobody asks it for them."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A table's copy: its columns in their order, how many rows, and the SHA-256 of the text."""

    columns: tuple[str, ...]
    rows: int
    sha256: str


def dump(store: TimescaleStoreSettings, place: Place, folder: str, application: str) -> tuple[int, dict[str, Copied]]:
    """Write every table below `folder`; the version of the schema, and what was written. Raises RetryableError."""
    with translated(), connect(store, application) as connection:
        version = migrate(connection)
        connection.isolation_level, connection.read_only = IsolationLevel.REPEATABLE_READ, True
        with connection.transaction():
            connection.execute("SET LOCAL statement_timeout = 0")
            found = {t.name: _out(connection, t.name, t.column_names, place, folder) for t in TABLES}
            found |= {name: _out(connection, name, of, place, folder) for name, (of, _) in _BESIDE.items()}
    return version, found


def _out(connection: Connection, name: str, columns: tuple[str, ...], place: Place, folder: str) -> Copied:
    rows, digest = 0, hashlib.sha256()
    statement = SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(_names(columns), Identifier(name))
    with (
        place.writing(f"{folder}/{name}.copy.gz") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=_LEVEL, mtime=0) as file,
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for part in copy:
            line = bytes(part)
            rows += line.count(b"\n")
            digest.update(line)
            file.write(line)
    return Copied(columns, rows, digest.hexdigest())


def is_recovered(store: TimescaleStoreSettings, source: str, application: str) -> bool:
    """Whether the database was filled from there before. Raises RetryableError."""
    with translated(), connect(store, application) as connection:
        connection.execute(_NOTE)
        done = connection.execute("SELECT 1 FROM marketpipeline_recovery WHERE source = %s", (source,)).fetchone()
    return done is not None


def fill(
    store: TimescaleStoreSettings,
    place: Place,
    folder: str,
    copied: Mapping[str, Copied],
    source: str,
    application: str,
) -> dict[str, int]:
    """Bring the rows back, all or none, and note it; how many by table. Raises RetryableError, PermanentError."""
    tables = {table.name: table for table in TABLES}
    with translated(), connect(store, application) as connection:
        migrate(connection)
        if apply_policies(connection, store):
            connection.configure({"timescaledb.max_tuples_decompressed_per_dml_transaction": "0"})
        with connection.transaction():
            connection.execute("SET LOCAL statement_timeout = 0")
            connection.execute("SET LOCAL lock_timeout = 0")
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
            connection.execute(_NOTE)
            note = "INSERT INTO marketpipeline_recovery (source) VALUES (%s) ON CONFLICT DO NOTHING"
            if connection.execute(note, (source,)).rowcount == 0:
                return {}
            for name, what in copied.items():
                _in(connection, name, tables.get(name), what, place, folder)
    return {name: what.rows for name, what in copied.items()}


def _in(connection: Connection, name: str, table: Table | None, copied: Copied, place: Place, folder: str) -> None:
    """Into the table itself where that is empty, else by a table of this transaction and an upsert."""
    if table is None and name not in _BESIDE:
        raise PermanentError(f"the backup has a table {name} that this release does not know: use the one that made it")
    held = connection.execute(SQL("SELECT 1 FROM {} LIMIT 1").format(Identifier(name))).fetchone()
    target = name if held is None else f"recovered_{name}"
    if held is not None:
        staging = SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA")
        connection.execute(staging.format(Identifier(target), _names(copied.columns), Identifier(name)))
    digest = hashlib.sha256()
    statement = SQL("COPY {} ({}) FROM STDIN").format(Identifier(target), _names(copied.columns))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for part in _text(place, f"{folder}/{name}.copy.gz"):
            digest.update(part)
            copy.write(part)
    if digest.hexdigest() != copied.sha256:
        raise PermanentError(f"{folder}/{name}.copy.gz is not what the backup wrote: its SHA-256 is another")
    if held is not None:
        connection.execute(upsert(table, target) if table is not None else _upsert_beside(name, target))


def _text(place: Place, path: str) -> Iterator[bytes]:
    """A file's text in parts. Raises RetryableError, and PermanentError where it is damaged."""
    with place.reading(path) as raw, gzip.GzipFile(fileobj=raw, mode="rb") as file:
        try:
            while part := file.read(_CHUNK):
                yield part
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise PermanentError(f"{path} is damaged: {error}; recover from another backup") from error


def _upsert_beside(name: str, target: str) -> Composed:
    columns, rule = _BESIDE[name]
    statement = SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT {}")
    return statement.format(Identifier(name), _names(columns), _names(columns), Identifier(target), rule)


def _names(columns: tuple[str, ...]) -> Composed:
    return SQL(", ").join(map(Identifier, columns))
