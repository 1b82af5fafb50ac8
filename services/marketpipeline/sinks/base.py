"""What a sink is, and how it says that it cannot take a batch now, or never.

A write is all or nothing and idempotent: the runner repeats it after a failure whose outcome is unknown, and
after a restart it begins again after the last committed offset. So each store ends the same whatever was killed.

    RetryableError
    └── Backpressure      the store is away or asks for time; the same batch is offered again
        └── Unusable      so is this connection; the sink opens a new one for the next attempt
    PermanentError
    └── RowsRejected      the store takes no batch with one of these rows; the runner finds out which
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.records import Record
from marketpipeline.topics import TopicKind

__all__ = ["Backpressure", "Delivery", "HoldingSink", "Place", "RowsRejected", "Sink", "Unusable"]

Place = tuple[str, int]
"""Topic and partition."""


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A record on its way into a store: decoded, as it was on the wire, and where it came from."""

    record: Record
    payload: bytes
    topic: str
    partition: int
    offset: int
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Backpressure(RetryableError):
    """The store cannot take the batch now. `retry_after` in seconds, or None for the runner's own backoff."""


class Unusable(Backpressure):
    """The connection is of no more use, as after a failover: what it leads to is away, or has become a replica."""


class RowsRejected(PermanentError):
    """The store refused what is in the rows; nothing of the batch was written."""


class Sink(Protocol):
    """A store, seen from the runner; called from one thread."""

    @property
    def name(self) -> str:
        """Short name for logs, metrics and dead letters."""

    @property
    def topics(self) -> frozenset[TopicKind]:
        """What it stores; other topics are not read."""

    def open(self) -> None:
        """Connect and make the store ready; does nothing while connected. Raises Backpressure, PermanentError."""

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Store the batch whole, newer rows over older ones of the same key. Never called with an empty batch.

        A heartbeat says that a symbol's feed is alive, and a store that is asked may note it; what it has no place for
        is passed over. Raises Backpressure, RowsRejected, or PermanentError when no batch will ever succeed.
        """

    def close(self) -> None:
        """Let go of the connection. May be called twice."""


@runtime_checkable
class HoldingSink(Sink, Protocol):
    """A sink whose `write` only takes rows: the store has them after a `flush`.

    The runner commits no offset of a partition in `holds`; what is held when the process dies is read again. `flush` is
    asked after every batch and every turn without one, so it decides itself what is due.
    """

    @property
    def holds(self) -> set[Place]:
        """The partitions of which rows are held."""

    @property
    def held_rows(self) -> int:
        """How many rows are held."""

    def flush(self, *, everything: bool, until: float = math.inf) -> None:
        """Store what is due, or all of it; each part whole or not at all. Raises Backpressure, PermanentError.

        What is due is a part a call, for less than five minutes: between two the runner keeps its partitions. No part
        is begun after `until`, of the monotonic clock; what is left is held on.
        """

    def lose(self, places: set[Place]) -> None:
        """Let go of what is held of partitions that went to another member."""
