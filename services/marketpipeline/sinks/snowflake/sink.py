"""The sink into Snowflake: it gathers rows and writes them in batches, between which the warehouse suspends.

What it has taken and not written is in memory only: the runner commits no offset of it, so that the next process reads
it again. Of each table a batch is one file, uploaded to a stage, copied and merged (`statements`); a batch that fails
half-way is written again as a whole, to the same end.
"""

from __future__ import annotations

import io
import logging
import math
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from snowflake.connector import SnowflakeConnection

from marketpipeline.records import BookMetrics, Record
from marketpipeline.sink_kinds.snowflake import SnowflakeSinkSettings, SnowflakeStoreSettings
from marketpipeline.sinks.base import Delivery, Place, Unusable
from marketpipeline.sinks.snowflake.connection import CALL_SECONDS, STATEMENT_SECONDS, connect, probe, translated
from marketpipeline.sinks.snowflake.held import Held, Samples
from marketpipeline.sinks.snowflake.schema import check, migrate
from marketpipeline.sinks.snowflake.statements import copy_into, make_batch_table, merge, put, remove
from marketpipeline.store.snowflake import SAMPLES, warehoused
from marketpipeline.topics import TopicKind

__all__ = ["SnowflakeSink", "from_settings"]

_log = logging.getLogger(__name__)

_TABLE_SECONDS = 240
"""For one table: a member of a group that says nothing for 300 s loses its partitions, a process its life."""


class SnowflakeSink:
    """Holds rows; see `HoldingSink`."""

    def __init__(self, store: SnowflakeStoreSettings, application: str = "marketpipeline-sink") -> None:
        self._store = store
        self._application = application
        self._session: SnowflakeConnection | None = None
        self._tables = warehoused(trades=store.trades)
        self._held: dict[type[Record], Held] = {
            table.record: Held(table) for table in self._tables if table is not SAMPLES
        }
        self._held[BookMetrics] = Samples(SAMPLES, store.book_every)
        self._due: list[Held] = []
        self._since: float | None = None

    @property
    def name(self) -> str:
        """Short name for logs, metrics and dead letters."""
        return "snowflake"

    @property
    def topics(self) -> frozenset[TopicKind]:
        """What is computed, and the trades where they are asked for."""
        return frozenset(table.topic for table in self._tables)

    def open(self) -> None:
        """Log in and bring the schema to this release's. Raises Backpressure, PermanentError."""
        self._connected()

    def _connected(self) -> SnowflakeConnection:
        if self._session is not None:
            return self._session
        session = connect(self._store, self._application)
        try:
            with translated():
                version = migrate(session)
                check(session, self._tables, self._store)
        except BaseException:
            _closed(session)
            raise
        self._session = session
        _log.info("Snowflake is ready", extra={"schema_version": version})
        return session

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Hold the rows. Raises RowsRejected for one that its table cannot hold."""
        groups: dict[type[Record], list[Delivery]] = defaultdict(list)
        for delivery in deliveries:
            if type(delivery.record) in self._held:
                groups[type(delivery.record)].append(delivery)
        for kind, rows in groups.items():
            self._held[kind].check(rows)
        for kind, rows in groups.items():
            self._held[kind].take(rows)
        if groups and self._since is None:
            self._since = time.monotonic()

    @property
    def holds(self) -> set[Place]:
        """The partitions of which rows are held."""
        return {place for held in self._held.values() for place in held.places}

    @property
    def held_rows(self) -> int:
        """How many rows are held."""
        return sum(held.rows for held in self._held.values())

    def flush(self, *, everything: bool, until: float = math.inf) -> None:
        """Write all that is held when that is due, a table a call. Raises Backpressure, RowsRejected, PermanentError.

        The tables follow one another at once, so that the warehouse wakes up once for all of them.
        """
        if everything or (not self._due and self._is_time()):
            self._due = [held for held in self._held.values() if held.places]
        if not self._due:
            return
        session = self._connected()
        try:
            with translated():
                probe(session)
                for held in tuple(self._due) if everything else self._due[:1]:
                    if time.monotonic() >= until:
                        break
                    if held.rows:
                        self._load(session, held)
                    held.clear()
                    self._due.remove(held)
        except Unusable:
            self.close()
            raise
        if not self._due:
            self._since = time.monotonic() if self.holds else None

    def _is_time(self) -> bool:
        if self._since is None:
            return False
        return time.monotonic() - self._since >= self._store.hold_ms / 1_000 or self.held_rows >= self._store.hold_rows

    def lose(self, places: set[Place]) -> None:
        """Let go of what is held of partitions that went to another member."""
        for held in self._held.values():
            held.lose(places)
        if not self.holds:
            self._since = None

    def close(self) -> None:
        """Let go of the session; what is held and not written is read again by the next process."""
        session, self._session = self._session, None
        if session is not None:
            _closed(session)

    def _load(self, session: SnowflakeConnection, held: Held) -> None:
        """One table's rows: upload, copy, merge, all of it within `_TABLE_SECONDS`."""
        began = time.monotonic()

        def left() -> int:
            return max(1, min(STATEMENT_SECONDS, round(began + _TABLE_SECONDS - time.monotonic())))

        content, times = held.parquet()
        file = f"{held.table.name}-{uuid.uuid4().hex}.parquet"
        with session.cursor() as cursor:
            try:
                cursor.execute(put(file), file_stream=io.BytesIO(content), timeout=left())
                for statement in (
                    make_batch_table(held.table),
                    copy_into(held.table, file),
                    merge(held.table, held.extremes, times),
                ):
                    cursor.execute(statement, timeout=left())
            except Exception:
                # The next attempt uploads another. The emulation has no REMOVE.
                with suppress(Exception):
                    cursor.execute(remove(file), timeout=CALL_SECONDS)
                raise
        taken = round(time.monotonic() - began, 3)
        said = {"table": held.table.name, "rows": held.rows, "bytes": len(content), "seconds": taken}
        _log.info("merged into Snowflake", extra=said)


def _closed(session: SnowflakeConnection) -> None:
    """Log out, if Snowflake is there; a session that is left ends by itself."""
    try:
        session.close(retry=False)
    except Exception as error:  # noqa: BLE001 - whatever it is, the session is of no more use
        _log.debug("the session was not closed", extra={"error": str(error)})


def from_settings(settings: SnowflakeSinkSettings) -> SnowflakeSink:
    """The sink of a process; Snowflake's history of queries shows the pipeline's name as their tag."""
    return SnowflakeSink(settings.store, f"{settings.pipeline}-sink")
