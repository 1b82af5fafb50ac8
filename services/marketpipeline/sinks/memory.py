"""The sink into memory: for programs that embed the runner, and the plainest reading of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marketpipeline.records import Record
from marketpipeline.sinks.base import Delivery
from marketpipeline.store import TABLES, TIMESCALE_TOPICS, Table
from marketpipeline.topics import TopicKind

__all__ = ["MemorySink"]


class MemorySink:
    """Keeps the newest `max_rows` rows of each table, by natural key; `rows` reads them."""

    def __init__(self, max_rows: int = 1_000_000) -> None:
        self._max_rows = max_rows
        self._tables = {table.record: table for table in TABLES}
        self._rows: dict[str, dict[tuple[Any, ...], Record]] = {table.name: {} for table in TABLES}

    @property
    def name(self) -> str:
        """Short name for logs, metrics and dead letters."""
        return "memory"

    @property
    def topics(self) -> frozenset[TopicKind]:
        """The same as the history's."""
        return TIMESCALE_TOPICS

    def open(self) -> None:
        """Nothing to connect to."""

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Keep the rows; one of a lower rank than the row held is passed over."""
        for delivery in deliveries:
            table = self._tables.get(type(delivery.record))
            if table is not None:
                self._put(table, delivery.record)

    def _put(self, table: Table, record: Record) -> None:
        rows, key = self._rows[table.name], table.key_of(record)
        held = rows.get(key)
        if held is not None and table.rank is not None and table.rank.of(record) < table.rank.of(held):
            return
        rows[key] = record
        if len(rows) > self._max_rows:
            del rows[next(iter(rows))]

    def rows(self, table: str) -> list[Record]:
        """The rows of a table in the order in which they first came."""
        return list(self._rows[table].values())

    def close(self) -> None:
        """The rows stay."""
