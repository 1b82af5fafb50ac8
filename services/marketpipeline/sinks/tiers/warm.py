"""The database as the warm tier: its days, what they hold, and the notes of those that the archive answers for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from psycopg.sql import SQL, Composable, Composed, Identifier

from marketpipeline.records import Record
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.sinks.timescale.connection import connect, translated
from marketpipeline.sinks.timescale.extension import installed_version
from marketpipeline.sinks.timescale.migrate import migrate
from marketpipeline.sinks.timescale.writer import TableWriter
from marketpipeline.store.digest import Digest, digest_sql
from marketpipeline.store.lake import lake_table
from marketpipeline.store.rows import record_reader
from marketpipeline.store.tables import Table

__all__ = ["Warm"]

_ROWS_AT_ONCE = 50_000
_MICROS = "CAST(extract(epoch FROM {}) * 1000000 AS BIGINT)"
_NOTE = """
INSERT INTO archived_days (table_name, day, rows) VALUES (%s, %s, %s)
ON CONFLICT (table_name, day) DO UPDATE SET rows = EXCLUDED.rows, archived_at = now(), restored_until = NULL
"""
_KEPT_BACK = """
INSERT INTO kept_back_days (table_name, day, reason) VALUES (%s, %s, %s)
ON CONFLICT (table_name, day) DO UPDATE SET reason = EXCLUDED.reason
"""
_KEPT_NO_MORE = "DELETE FROM kept_back_days WHERE table_name = %s AND day = %s"
_RESTORED = "UPDATE archived_days SET restored_until = %s WHERE table_name = %s AND day = %s"


class Warm:
    """One connection, for the time of the job. Every method raises RetryableError or PermanentError."""

    def __init__(self, store: TimescaleStoreSettings, application: str) -> None:
        self._connection = connect(store, application)
        with translated():
            migrate(self._connection)
            self._connection.configure({"statement_timeout": "600s"})
            self._symbols = [s for (s,) in self._fetch(SQL("SELECT symbol FROM symbols ORDER BY symbol"))]
            self._hypertables = installed_version(self._connection) is not None

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def oldest(self, table: Table) -> date | None:
        """The day of the oldest row, looked up along the key symbol by symbol."""
        statement = SQL(
            "SELECT min(found.at) FROM symbols CROSS JOIN LATERAL"
            " (SELECT min({}) AS at FROM {} AS t WHERE t.symbol = symbols.symbol) AS found"
        ).format(_moment(table), Identifier(table.name))
        ((found,),) = self._fetch(statement)
        return None if found is None else found.astimezone(UTC).date()

    def notes(self, table: Table) -> dict[date, datetime | None]:
        """The days that were archived; of one that was restored, until when it stays."""
        statement = SQL("SELECT day, restored_until FROM archived_days WHERE table_name = %s")
        return dict(self._fetch(statement, table.name))

    def digest(self, table: Table, day: date) -> Digest:
        """Of the rows of a day."""
        texts, select = digest_sql(lake_table(table.name), _MICROS)
        statement = SQL(select.replace("%", "%%") + " FROM {} AS t WHERE {} " + texts).format(
            Identifier(table.name), _within(table)
        )
        rows = self._fetch(statement, *_bounds(day))
        return {tuple(row[:-3]): tuple(int(value) for value in row[-3:]) for row in rows}

    def note(self, table: Table, day: date, rows: int) -> None:
        """From now on the archive answers for this day."""
        with translated(), self._connection.transaction():
            self._connection.execute(_NOTE, (table.name, day, rows))
            self._connection.execute(_KEPT_NO_MORE, (table.name, day))

    def keep_back(self, reasons: Mapping[tuple[str, date], str]) -> None:
        """Note the days that had to stay, by table and day, instead of those noted before."""
        with translated(), self._connection.transaction():
            for table, day in self._fetch(SQL("SELECT table_name, day FROM kept_back_days")):
                if (table, day) not in reasons:
                    self._connection.execute(_KEPT_NO_MORE, (table, day))
            for (table, day), reason in reasons.items():
                self._connection.execute(_KEPT_BACK, (table, day, reason))

    def drop(self, table: Table, day: date) -> int:
        """Remove the rows of a day, chunks of it whole where it has them; how many rows had to go one by one."""
        begin, end = _bounds(day)
        gone = 0
        with translated():
            if self._hypertables and table.chunk_days == 1:
                self._connection.execute(
                    "SELECT drop_chunks(%s::regclass, older_than => %s::timestamptz, newer_than => %s::timestamptz)",
                    (table.name, end, begin),
                )
            statement = SQL("DELETE FROM {} WHERE symbol = %s AND {}").format(Identifier(table.name), _within(table))
            for symbol in self._symbols:
                gone += self._connection.execute(statement, (symbol, begin, end)).rowcount
        return gone

    def records(self, table: Table, day: date) -> Iterator[list[Record]]:
        """The rows of a day as records."""
        columns = SQL(", ").join(map(Identifier, table.column_names))
        statement = SQL("SELECT {} FROM {} WHERE {}").format(columns, Identifier(table.name), _within(table))
        read = record_reader(table)
        with translated(), self._connection.transaction(), self._connection.cursor(name="day") as cursor:
            cursor.execute(statement, _bounds(day))
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                yield list(map(read, rows))

    def put_back(self, table: Table, day: date, batches: Iterator[list[Record]], until: datetime) -> None:
        """Write the rows of a day and answer for it again, in one transaction."""
        with translated():
            writer = TableWriter(table)
            writer.prepare(self._connection)
            with self._connection.transaction():
                for records in batches:
                    writer.write(self._connection, records)
                self._connection.execute(_RESTORED, (until, table.name, day))
            self._connection.execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier(f"staging_{table.name}")))

    def _fetch(self, statement: SQL | Composed, *values: Any) -> Sequence[tuple[Any, ...]]:
        with translated():
            return self._connection.execute(statement, values).fetchall()


def _moment(table: Table) -> Composable:
    if table.query_time is None:
        return Identifier(table.time)
    return SQL("coalesce({}, {})").format(Identifier(table.query_time), Identifier(table.time))


def _within(table: Table) -> Composable:
    return SQL("{} >= %s AND {} < %s").format(_moment(table), _moment(table))


def _bounds(day: date) -> tuple[datetime, datetime]:
    begin = datetime.combine(day, time(), UTC)
    return begin, begin + timedelta(days=1)
