"""What the stream tells of a record, under which names, and what may stand for it when a reader is slow. Pure.

Which kinds of record are streamed follows from `record_kinds`: those that the cache keeps, as the newest of a symbol or
as a list of the recent ones. Their names here are the names of the cache's entries (`book`, `trade`, `candle`,
`closed-candle`) and, of what is recent, the record's own (`alert`). Books with their levels (`levels`), which no store
keeps, come beside them for who asks by that name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import msgspec

from marketpipeline.record_kinds import KIND_OF, KINDS
from marketpipeline.records import Alert, Book, Record
from marketpipeline.store.latest import alert_order, latest_entries
from marketpipeline.store.rows import json_of
from marketpipeline.topics import Feed, TopicKind

__all__ = [
    "LEVELS",
    "STREAMED",
    "Batch",
    "Update",
    "Wanted",
    "event",
    "kinds_of",
    "levels_of",
    "message",
    "topics_of",
    "update_of",
]

STREAMED = MappingProxyType(
    {entry.name: kind for kind in KINDS for entry in kind.newest} | {kind.name: kind for kind in KINDS if kind.recent}
)
"""By the name that a reader asks for: the kind of record."""

LEVELS = "levels"
"""The books themselves; whoever names no kind does not get them."""


def kinds_of(feeds: Iterable[Feed]) -> list[str]:
    """The names that a pipeline with these feeds can be asked for."""
    known = frozenset(feeds)
    return [name for name, kind in STREAMED.items() if kind.exists_with(known)]


def topics_of(names: Iterable[str]) -> frozenset[TopicKind]:
    """The topics that carry these kinds."""
    return frozenset(STREAMED[name].topic for name in names)


@dataclass(slots=True, eq=False)
class Update:
    """One record as readers are told of it.

    `seq` is its place in this process' stream, once it has one, `body` its JSON. `entries` are what it is the newest
    of, perhaps (the entries of the cache, and of what is recent the very thing that it tells of), each with a text that
    sorts as the records follow one another; the last of them is what a later update may stand for. `names` are the
    kinds that it is one of, and `received` is when ingestion read what it is made of, in microseconds.
    """

    symbol: str
    names: tuple[str, ...]
    entries: tuple[tuple[str, str], ...]
    is_recent: bool
    is_ranked: bool
    received: int
    body: bytes
    seq: int = 0

    @property
    def identity(self) -> tuple[str, str, str]:
        """Two updates that agree in it tell the same: what several processes of ingestion have received."""
        return self.symbol, *self.entries[-1]

    @property
    def key(self) -> tuple[str, str]:
        """Of two updates with the same key the later one may stand for both."""
        return self.symbol, self.entries[-1][0]


def update_of(record: Record) -> Update | None:
    """The update of a record; None for one of a kind that is not streamed."""
    kind = KIND_OF.get(type(record))
    if kind is None or not kind.in_cache:
        return None
    entries = list(latest_entries(record))
    names = [entry.partition(":")[0] for entry, _ in entries]
    if kind.recent:
        names.append(kind.name)
        order = alert_order(record) if isinstance(record, Alert) else f"{getattr(record, kind.time):020d}"
        entries.append((":".join((kind.name, *(str(getattr(record, name)) for name in kind.key))), order))
    received: int = record.receive_time  # type: ignore[attr-defined]  # each kind that the cache keeps has one
    body = msgspec.json.encode({"kind": names[0], **json_of(record)})
    ranked = kind.rank is not None
    return Update(record.symbol, tuple(names), tuple(entries), kind.recent, ranked, received, body)


def levels_of(book: Book) -> Update:
    """The update of a book with its levels: of a symbol the later one stands for all before."""
    body = msgspec.json.encode({"kind": LEVELS, **json_of(book)})
    entries = ((LEVELS, f"{book.receive_time:020d}"),)
    return Update(book.symbol, (LEVELS,), entries, False, False, book.receive_time, body)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asked for: symbols, and kinds by name or, of those with an interval, as `candle:1m`."""

    symbols: frozenset[str]
    kinds: frozenset[str]

    def has(self, update: Update) -> bool:
        """Whether an update is one of these."""
        if update.symbol not in self.symbols:
            return False
        kinds = self.kinds
        return not kinds.isdisjoint(update.names) or any(entry in kinds for entry, _ in update.entries)


@dataclass(frozen=True)
class Batch:
    """Updates that go out together; their forms on the wire are made once, for all of its readers.

    `last` is the id from which a reader that has got them goes on.
    """

    updates: Sequence[Update]
    last: str

    @cached_property
    def body(self) -> bytes:
        """The message with them."""
        return message("updates", self.last, self.updates)

    @cached_property
    def text(self) -> str:
        """The same, as a WebSocket's frame has it."""
        return self.body.decode()

    @cached_property
    def event(self) -> bytes:
        """The same, as a server-sent event."""
        return event("updates", self.last, self.body)


def message(kind: str, last: str | None, updates: Iterable[Update] | None = None, **more: Any) -> bytes:
    """`{"type": kind, "id": last, …, "records": […]}`: the id of what can be gone on from, the records of updates."""
    head = msgspec.json.encode({"type": kind, **({} if last is None else {"id": last}), **more})
    if updates is None:
        return head
    return head[:-1] + b',"records":[' + b",".join([update.body for update in updates]) + b"]}"


def event(kind: str, last: str | None, body: bytes) -> bytes:
    """A message as a server-sent event; JSON has no line break in it."""
    place = b"" if last is None else b"id: %b\n" % last.encode()
    return b"event: %b\n%bdata: %b\n\n" % (kind.encode(), place, body)
