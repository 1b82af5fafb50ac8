"""The sink into ClickHouse: of a batch one native block for each table that it has rows for."""

from __future__ import annotations

import logging
from array import array
from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from operator import attrgetter

from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.client import Client

from marketpipeline.records import Record
from marketpipeline.sink_kinds.clickhouse import ClickHouseSinkSettings, ClickHouseStoreSettings
from marketpipeline.sinks.base import Backpressure, Delivery, RowsRejected, Unusable
from marketpipeline.sinks.clickhouse.connection import connect, one_line, translated
from marketpipeline.sinks.clickhouse.schema import Definition, definitions
from marketpipeline.sinks.clickhouse.tables import make_tables
from marketpipeline.sinks.seen import Seen
from marketpipeline.store import TABLES, TIMESCALE_TOPICS, Table
from marketpipeline.store.clickhouse import SYMBOLS
from marketpipeline.topics import TopicKind

__all__ = ["ClickHouseSink", "TableWriter", "from_settings"]

_log = logging.getLogger(__name__)

_EARLIEST, _LATEST = -2_208_988_800_000_000, 10_413_791_999_999_999
"""What a DateTime64(6) can hold, 1900 to 2299: beyond it the server keeps another time, silently."""
_UNFIT = (OverflowError, UnicodeEncodeError)
"""What the client raises for a value that its column cannot hold."""


class TableWriter:
    """Writes records of one kind into their table."""

    def __init__(self, table: Table, definition: Definition, store: ClickHouseStoreSettings) -> None:
        self._name, self._store = table.name, store
        self._columns = table.column_names
        self._types: list[ClickHouseType] = [get_from_name(definition.columns[name]) for name in self._columns]
        self._values = [attrgetter(name) for name in self._columns]
        self._times = [(index, column.name) for index, column in enumerate(table.columns) if column.is_time]

    def write(self, client: Client, deliveries: Sequence[Delivery]) -> None:
        """Insert the block. A repetition of the very same one is known by its token and not stored twice.

        Raises RowsRejected, Backpressure, PermanentError.
        """
        records = [delivery.record for delivery in deliveries]
        columns = [list(map(value, records)) for value in self._values]
        for index, name in self._times:
            given = [value for value in columns[index] if value is not None]
            if given and not (min(given) >= _EARLIEST and max(given) <= _LATEST):
                raise RowsRejected(f"{self._name}.{name}: a time that is not from 1900 to 2299")
        try:
            with translated(self._store):
                client.insert(
                    self._name,
                    columns,
                    column_names=self._columns,
                    column_types=self._types,
                    column_oriented=True,
                    settings={"insert_deduplication_token": _token(deliveries)},
                )
        except _UNFIT as error:
            raise RowsRejected(f"{self._name}: {one_line(error)}") from error


class ClickHouseSink:
    """Appends; which of two rows of a key stays is the tables' own rule, see `schema`."""

    def __init__(self, store: ClickHouseStoreSettings, application: str = "marketpipeline-sink") -> None:
        self._store = store
        self._application = application
        self._client: Client | None = None
        known = {definition.name: definition for definition in definitions({})}
        self._writers = {table.record: TableWriter(table, known[table.name], store) for table in TABLES}
        self._seen = Seen(self._writers.keys())

    @property
    def name(self) -> str:
        """Short name for logs, metrics and dead letters."""
        return "clickhouse"

    @property
    def topics(self) -> frozenset[TopicKind]:
        """Everything that has a table."""
        return TIMESCALE_TOPICS

    def open(self) -> None:
        """Connect and bring the tables to their definitions. Raises Backpressure, PermanentError."""
        if self._client is not None:
            return
        client = connect(self._store, self._application)
        try:
            with translated(self._store):
                make_tables(client, self._store)
        except BaseException:
            client.close()
            raise
        self._client = client
        self._seen.forget()
        _log.info("ClickHouse is ready", extra={"server_version": client.server_version})

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Store the batch, a table after the other: what was written before a failure is written again, to the same
        end. Raises Backpressure, RowsRejected, PermanentError."""
        if self._client is None:
            raise Backpressure("ClickHouse is not connected", retry_after=0)
        groups: dict[type[Record], list[Delivery]] = defaultdict(list)
        for delivery in deliveries:
            groups[type(delivery.record)].append(delivery)
        seen = self._seen.due({kind: [d.record for d in found] for kind, found in groups.items()})
        try:
            for kind, found in groups.items():
                if kind in self._writers:
                    self._writers[kind].write(self._client, found)
            if seen:
                with translated(self._store):
                    self._client.insert(SYMBOLS, list(seen.items()), column_names=["symbol", "seen_at"])
        except Unusable:
            self.close()
            raise
        self._seen.note(seen)

    def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _token(deliveries: Sequence[Delivery]) -> str:
    """Names a block, all of one topic, by where its records came from and what they are.

    Of a topic that was made again offsets come again with other records, so their lengths, the first and the last count
    too; to read them all would cost as much as to insert them.
    """
    digest = blake2b(deliveries[0].topic.encode(), digest_size=16)
    for numbers in (
        [delivery.partition for delivery in deliveries],
        [delivery.offset for delivery in deliveries],
        [len(delivery.payload) for delivery in deliveries],
    ):
        digest.update(array("q", numbers))
    digest.update(deliveries[0].payload)
    digest.update(deliveries[-1].payload)
    return digest.hexdigest()


def from_settings(settings: ClickHouseSinkSettings) -> ClickHouseSink:
    """The sink of a process; the server shows its queries under the pipeline's name."""
    return ClickHouseSink(settings.store, f"{settings.pipeline}-sink")
