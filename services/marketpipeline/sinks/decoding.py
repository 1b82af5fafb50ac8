"""From a message to a delivery: what each topic may hold, and what is wrong with a message that it may not."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import msgspec
from confluent_kafka import Message

from marketpipeline import records
from marketpipeline.errors import PermanentError
from marketpipeline.record_kinds import records_in
from marketpipeline.sinks.base import Delivery
from marketpipeline.topics import TopicKind, topic_name

__all__ = ["Decoder", "Undecodable", "delivery_of"]

_YEAR_10000 = 253_402_300_800_000_000
"""In microseconds since the epoch: no reader of a store can show a time from there on."""


class Undecodable(PermanentError):
    """A message that is not a record, or none that its topic may hold."""


class _Times:
    """The fields of a type of record that hold times."""

    def __init__(self, kind: type[records.Record]) -> None:
        self.names = tuple(records.times(kind))
        values = attrgetter(*self.names)
        self.of: Callable[[records.Record], tuple[Any, ...]]
        self.of = values if len(self.names) > 1 else lambda record: (values(record),)

    def check(self, record: records.Record) -> None:
        """Raise Undecodable for a time that cannot be one."""
        for name, value in zip(self.names, self.of(record), strict=True):
            if value is not None and not 0 <= value < _YEAR_10000:
                raise Undecodable(f"{name}: {value} is not a time in microseconds since 1970, before the year 10000")


class Decoder:
    """Reads the topics of one pipeline."""

    def __init__(self, prefix: str) -> None:
        self._expected = {topic_name(prefix, kind): records_in(kind) for kind in TopicKind}
        self._times = {kind: _Times(kind) for types in self._expected.values() for kind in types}

    def decode(self, message: Message) -> Delivery | None:
        """The delivery of a message; None for a tombstone, which has nothing to store.

        Raises Undecodable, whose message names the field.
        """
        payload = message.value()
        if payload is None:
            return None
        try:
            record = records.decode(payload)
        except msgspec.MsgspecError as error:
            raise Undecodable(str(error)) from error
        kind = type(record)
        if kind not in self._expected.get(message.topic() or "", ()):
            raise Undecodable(f"a record of type {kind.__struct_config__.tag} does not belong in {message.topic()}")
        self._times[kind].check(record)
        return delivery_of(message, record)


def delivery_of(message: Message, record: records.Record) -> Delivery:
    """A message with its decoded record."""
    return Delivery(
        record=record,
        payload=message.value() or b"",
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        key=message.key(),
        headers=tuple(message.headers() or ()),  # type: ignore[arg-type]  # its stubs list what may be sent, too
    )
