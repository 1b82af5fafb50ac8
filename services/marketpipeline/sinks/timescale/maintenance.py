"""The daily clean-up: what is older than its retention goes.

With TimescaleDB whole chunks are dropped (its own policies do the same, so usually nothing is left to do); ordinary
tables lose their rows in small transactions, symbol by symbol along the primary key, so that writers never wait.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

from psycopg.sql import SQL, Identifier

from marketpipeline.backoff import Backoff
from marketpipeline.errors import MarketPipelineError, PermanentError, RetryableError
from marketpipeline.sink_kinds.timescale import TimescaleSinkSettings, TimescaleStoreSettings
from marketpipeline.sinks.timescale.connection import Connection, connect, translated
from marketpipeline.sinks.timescale.extension import installed_version
from marketpipeline.sinks.timescale.migrate import migrate
from marketpipeline.store import TABLES, Table
from marketpipeline.telemetry import Telemetry

__all__ = ["clean_up", "run"]

_log = logging.getLogger(__name__)

_ROWS_AT_ONCE = 20_000
_GIVE_UP_AFTER = 600.0
"""Seconds that the database may be away before the job fails, to be run again by its schedule."""


def run(settings: TimescaleSinkSettings) -> int:
    """Clean up once. Status 0 when done, 1 when the database stayed away."""
    telemetry = Telemetry.start(settings, "maintenance", health=None)
    backoff, give_up = Backoff(initial=1.0, longest=30.0), time.monotonic() + _GIVE_UP_AFTER
    try:
        while True:
            try:
                clean_up(settings.store, datetime.now(UTC))
            except RetryableError as error:
                if time.monotonic() > give_up:
                    _log.error("gave up", extra={"error": str(error)})
                    return 1
                wait = backoff.next()
                _log.warning("will try again", extra={"error": str(error), "wait_s": round(wait, 1)})
                time.sleep(wait)
            else:
                return 0
    finally:
        telemetry.close()


def clean_up(store: TimescaleStoreSettings, now: datetime) -> dict[str, int]:
    """Drop what is too old at `now`; what went by table: chunks of a hypertable, rows of another.

    A group without a retention keeps everything. A table that fails does not keep the others from being
    cleaned: what was wrong is raised at the end, with the tables' names. Raises Backpressure, PermanentError.
    """
    connection = connect(store, "marketpipeline-maintenance")
    gone: dict[str, int] = {}
    failed: dict[str, MarketPipelineError] = {}
    try:
        with translated():
            migrate(connection)
        for table in TABLES:
            days = store.retention_days.get(table.group)
            if days is None:
                continue
            try:
                gone[table.name] = _clean(connection, table, now - timedelta(days=days))
            except (PermanentError, RetryableError) as error:
                if connection.closed:
                    raise
                failed[table.name] = error
                _log.error("not cleaned up", extra={"table": table.name, "error": str(error)})
    finally:
        connection.close()
    if failed:
        said = "not cleaned up: " + "; ".join(f"{table}: {error}" for table, error in failed.items())
        again = any(isinstance(error, RetryableError) for error in failed.values())
        raise RetryableError(said) if again else PermanentError(said)
    return gone


def _clean(connection: Connection, table: Table, cutoff: datetime) -> int:
    with translated():
        drop = _drop_chunks if _is_hypertable(connection, table) else _delete
        gone = drop(connection, table, cutoff)
    _log.info("cleaned up", extra={"table": table.name, "before": cutoff, "gone": gone})
    return gone


def _is_hypertable(connection: Connection, table: Table) -> bool:
    if installed_version(connection) is None:
        return False
    row = connection.execute(
        "SELECT 1 FROM timescaledb_information.hypertables"
        " WHERE hypertable_schema = current_schema() AND hypertable_name = %s",
        (table.name,),
    ).fetchone()
    return row is not None


def _drop_chunks(connection: Connection, table: Table, cutoff: datetime) -> int:
    return len(connection.execute("SELECT drop_chunks(%s::regclass, %s)", (table.name, cutoff)).fetchall())


def _delete(connection: Connection, table: Table, cutoff: datetime) -> int:
    name, column = Identifier(table.name), Identifier(table.time)
    statement = SQL(
        "DELETE FROM {} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {} WHERE symbol = %s AND {} < %s LIMIT %s))"
    ).format(name, name, column)
    gone = 0
    for (symbol,) in connection.execute("SELECT symbol FROM symbols ORDER BY symbol").fetchall():
        while True:
            count = connection.execute(statement, (symbol, cutoff, _ROWS_AT_ONCE)).rowcount
            gone += count
            if count < _ROWS_AT_ONCE:
                break
    return gone
