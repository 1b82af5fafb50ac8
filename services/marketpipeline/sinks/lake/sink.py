"""The sink into the lake: it gathers rows for up to an hour and writes each table when that is worth a file.

What it has taken and not written is in memory only: the runner commits no offset of it, so that the next process reads
it again. A table is written when its rows are old enough (`hold_ms`), when memory is full (the largest one first), when
nothing new comes any more, and when the process stops or a partition goes to another member.
"""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from deltalake import DeltaTable

from marketpipeline.errors import RetryableError
from marketpipeline.lake.delta import Conflict, make_table, translated
from marketpipeline.records import Heartbeat, Record
from marketpipeline.sink_kinds.lake import LakeSinkSettings, LakeStoreSettings
from marketpipeline.sinks.base import Backpressure, Delivery
from marketpipeline.sinks.lake.held import Held
from marketpipeline.sinks.lake.topic_ids import topic_ids
from marketpipeline.sinks.lake.writer import write
from marketpipeline.sinks.source import Place
from marketpipeline.store.lake import LAKE_TABLES, LAKE_TOPICS
from marketpipeline.topics import TopicKind

__all__ = ["LakeSink", "from_settings"]

_log = logging.getLogger(__name__)

_QUIET_PART = 60
"""A sixtieth of `hold_ms` without a row, and what is held is written: nothing more comes."""


class LakeSink:
    """Holds rows; see `HoldingSink`. `topic_ids` tells which topic a name stands for, so that one that was deleted and
    made anew is not taken for the old one; a topic without an id has its rows told apart by their keys alone."""

    def __init__(
        self,
        store: LakeStoreSettings,
        group: str = "marketpipeline",
        ids: Callable[[], dict[str, str]] = dict,
    ) -> None:
        self._store = store
        self._group = group
        self._ids_of_topics = ids
        self._ids: dict[str, str] | None = None
        self._tables: dict[type[Record], DeltaTable] = {}
        self._held = {table.kind.record: Held(table) for table in LAKE_TABLES}
        self._written: dict[Place, int] = {}
        self._newest_row = time.monotonic()

    @property
    def name(self) -> str:
        """Short name for logs, metrics and dead letters."""
        return "lake"

    @property
    def topics(self) -> frozenset[TopicKind]:
        """Everything but what the platform and everyone writes."""
        return LAKE_TOPICS

    def open(self) -> None:
        """Make the tables that are absent, and look at the others. Raises Backpressure, PermanentError."""
        if self._tables:
            return
        with _pushing_back():
            with ThreadPoolExecutor(len(LAKE_TABLES)) as threads:
                made = threads.map(lambda table: make_table(self._store, table), LAKE_TABLES)
                found = dict(zip((table.kind.record for table in LAKE_TABLES), made, strict=True))
            self._ids = self._ids_of_topics()
        self._tables = found
        _log.info("lake is ready", extra={"url": self._store.url, "tables": len(found)})

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Take the rows. Raises Backpressure while the lake is not open, RowsRejected."""
        if not self._tables:
            raise Backpressure("the lake is not open", retry_after=0)
        if self._ids is None:
            with _pushing_back():
                self._ids = self._ids_of_topics()
        while sum(held.bytes for held in self._held.values()) > self._store.hold_bytes:
            self._commit(max(self._held.values(), key=lambda held: held.bytes))
        groups: dict[type[Record], dict[Place, list[Delivery]]] = defaultdict(lambda: defaultdict(list))
        for delivery in deliveries:
            groups[type(delivery.record)][delivery.topic, delivery.partition].append(delivery)
        if groups.keys() - {Heartbeat}:
            self._newest_row = time.monotonic()
        known = {kind: self._fresh(kind, places) for kind, places in groups.items() if kind in self._held}
        fresh = {kind: places for kind, places in known.items() if places}
        columns = {kind: self._held[kind].check(places) for kind, places in fresh.items()}
        for kind, places in fresh.items():
            self._held[kind].take(places, columns[kind])

    def _fresh(self, kind: type[Record], places: dict[Place, list[Delivery]]) -> dict[Place, list[Delivery]]:
        """Of rows by partition those that the lake does not have, as its own log says."""
        found = {}
        for place, rows in places.items():
            done = self._written_of(kind, place)
            if left := [row for row in rows if row.offset >= done]:
                found[place] = left
        return found

    @property
    def holds(self) -> set[Place]:
        """The partitions of which rows are held."""
        return {place for held in self._held.values() for place in held.reached}

    @property
    def held_rows(self) -> int:
        """How many rows are held."""
        return sum(held.rows for held in self._held.values())

    def flush(self, *, everything: bool, until: float = math.inf) -> None:
        """Write the table that has been due for longest, or all that have rows. Raises Backpressure, PermanentError."""
        now, hold = time.monotonic(), self._store.hold_ms / 1_000
        quiet = now - self._newest_row > hold / _QUIET_PART
        since = {held: held.since for held in self._held.values() if held.since is not None}
        due = [held for held in sorted(since, key=since.__getitem__) if everything or quiet or now - since[held] > hold]
        for held in due if everything else due[:1]:
            if time.monotonic() >= until:
                return
            self._commit(held)

    def lose(self, places: set[Place]) -> None:
        """Let go of what is held of partitions that went to another member."""
        for held in self._held.values():
            held.lose(places)
        self._written, self._ids = {}, None

    def close(self) -> None:
        """Let go of the tables; what is held and not written is read again by the next process."""
        self._tables = {}
        self._written = {}
        for held in self._held.values():
            held.clear()

    def _commit(self, held: Held) -> None:
        """Write one table; what is held of it stays until the lake has said yes."""
        kind, began = held.table.kind.record, time.monotonic()
        rows = held.rows_to_write()
        if rows.num_rows:
            offsets = {self._transaction(place): offset for place, offset in held.reached.items()}
            with _pushing_back():
                try:
                    with translated(self._store):
                        self._tables[kind].update_incremental()
                        fresh = write(self._tables[kind], held.table, rows, offsets)
                except Conflict:
                    self._look_again(held)
                    raise
            taken = round(time.monotonic() - began, 3)
            said = {"table": held.table.name, "rows": rows.num_rows, "new": fresh, "seconds": taken}
            _log.info("committed to the lake", extra=said)
        self._written |= held.reached
        held.clear()

    def _look_again(self, held: Held) -> None:
        """After a conflict: partitions that another process has written further than this one are its."""
        kind = held.table.kind.record
        with translated(self._store):
            self._tables[kind].update_incremental()
        for place, offset in list(held.reached.items()):
            found = self._tables[kind].transaction_version(self._transaction(place))
            if found is not None and found >= offset:
                held.lose({place})
                self._written[place] = found

    def _written_of(self, kind: type[Record], place: Place) -> int:
        """The offset up to which the lake has a partition, as its own log says; 0 where the topic has no id."""
        if place[0] not in (self._ids or {}):
            return 0
        if place not in self._written:
            self._written[place] = self._tables[kind].transaction_version(self._transaction(place)) or 0
        return self._written[place]

    def _transaction(self, place: Place) -> str:
        topic, partition = place
        return f"{self._group}:{topic}:{(self._ids or {}).get(topic, '-')}:{partition}"


@contextmanager
def _pushing_back() -> Iterator[None]:
    try:
        yield
    except RetryableError as error:
        raise Backpressure(str(error), error.retry_after) from error


def from_settings(settings: LakeSinkSettings) -> LakeSink:
    """The sink of a process."""
    return LakeSink(settings.store, settings.consumer_group, lambda: topic_ids(settings))
