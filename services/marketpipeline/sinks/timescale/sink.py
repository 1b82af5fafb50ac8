"""The sink into TimescaleDB or PostgreSQL: a batch is one transaction over all tables that it has rows for."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from marketpipeline.records import Record
from marketpipeline.sink_kinds.timescale import TimescaleSinkSettings, TimescaleStoreSettings
from marketpipeline.sinks.base import Backpressure, Delivery, Unusable
from marketpipeline.sinks.seen import Seen
from marketpipeline.sinks.timescale.connection import Connection, connect, translated
from marketpipeline.sinks.timescale.extension import apply_policies
from marketpipeline.sinks.timescale.migrate import check_tables, migrate
from marketpipeline.sinks.timescale.writer import TableWriter
from marketpipeline.store import TABLES, TIMESCALE_TOPICS
from marketpipeline.topics import TopicKind

__all__ = ["TimescaleSink", "from_settings"]

_log = logging.getLogger(__name__)

_NOTE_SYMBOL = """
INSERT INTO symbols (symbol, seen_at) VALUES (%s, %s)
ON CONFLICT (symbol) DO UPDATE SET seen_at = greatest(symbols.seen_at, EXCLUDED.seen_at)
"""

_NO_DECOMPRESSION_LIMIT = {"timescaledb.max_tuples_decompressed_per_dml_transaction": "0"}
"""Else the extension refuses a batch whose rows meet many compressed segments, whenever it is offered."""


class TimescaleSink:
    """Upserts by natural key; see `writer` for how. `hypertables` tells whether TimescaleDB was found."""

    def __init__(self, store: TimescaleStoreSettings, application: str = "marketpipeline-sink") -> None:
        self._store = store
        self._application = application
        self._connection: Connection | None = None
        self._writers = {table.record: TableWriter(table) for table in TABLES}
        self._seen = Seen(self._writers.keys())
        self.hypertables = False

    @property
    def name(self) -> str:
        """Short name for logs, metrics and dead letters."""
        return "timescale"

    @property
    def topics(self) -> frozenset[TopicKind]:
        """Everything that has a table."""
        return TIMESCALE_TOPICS

    def open(self) -> None:
        """Connect, bring the schema up to date, apply policies. Raises Backpressure, PermanentError."""
        if self._connection is not None:
            return
        connection = connect(self._store, self._application)
        try:
            with translated():
                version = migrate(connection)
                check_tables(connection, self._store.url)
                self.hypertables = apply_policies(connection, self._store)
                if self.hypertables:
                    connection.configure(_NO_DECOMPRESSION_LIMIT)
                for writer in self._writers.values():
                    writer.prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._seen.forget()
        _log.info("database is ready", extra={"schema_version": version, "hypertables": self.hypertables})

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Store the batch in one transaction. Raises Backpressure, RowsRejected, PermanentError."""
        if self._connection is None:
            raise Backpressure("the database is not connected", retry_after=0)
        groups: dict[type[Record], list[Record]] = defaultdict(list)
        for delivery in deliveries:
            groups[type(delivery.record)].append(delivery.record)
        try:
            with translated(), self._connection.transaction():
                seen = self._seen.due(groups)
                _note_symbols(self._connection, seen)
                for kind, records in groups.items():
                    if kind in self._writers:
                        self._writers[kind].write(self._connection, records)
        except BaseException as error:
            if isinstance(error, Unusable) or self._connection.closed or self._connection.broken:
                self.close()
            raise
        self._seen.note(seen)

    def close(self) -> None:
        """Let go of the connection; what was not committed is undone by the server."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _note_symbols(connection: Connection, seen: Mapping[str, int]) -> None:
    for symbol in sorted(seen):
        moment = datetime.fromtimestamp(seen[symbol] / 1e6, UTC) if seen[symbol] else None
        connection.execute(_NOTE_SYMBOL, (symbol, moment))


def from_settings(settings: TimescaleSinkSettings) -> TimescaleSink:
    """The sink of a process; the database shows its connection under the pipeline's name."""
    return TimescaleSink(settings.store, f"{settings.pipeline}-sink")
