"""Reads back what the topics hold of some symbols since some time, whichever process wrote it. All of it blocks."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from marketpipeline.errors import RetryableError
from marketpipeline.ingestion.context import Look
from marketpipeline.ingestion.delivered import CALL_SECONDS, decode_as, read_block
from marketpipeline.ingestion.partition import partition_of
from marketpipeline.ingestion.written import Span, Written, merged
from marketpipeline.kafka import consumer_config
from marketpipeline.record_kinds import FEED_TOPIC
from marketpipeline.records import AggTrade, Book, Trade
from marketpipeline.settings import KafkaSettings
from marketpipeline.topics import TopicKind, topic_name

__all__ = ["TopicReader"]

_log = logging.getLogger(__name__)

EARLIER = 5_000_000
"""µs before the time asked for from which on is read: clocks differ, and another process may have been ahead."""
ALIVE = 3_000_000
"""A process whose last heartbeat is not older, µs, may write more."""
MOST = 200_000
"""Records of a partition that are looked at: the newest."""


class _Peek(msgspec.Struct, gc=False):
    """The fields that tell what a record is, of any kind that has ids."""

    type: str
    event_time: int | None = None
    trade_id: int = -1
    agg_trade_id: int = -1
    update_id: int = -1
    previous_id: int | None = None
    process: str = ""


_SPANS: dict[TopicKind, tuple[type[Trade | AggTrade | Book], Callable[[_Peek], Span | None]]] = {
    TopicKind.TRADES: (Trade, lambda found: (found.trade_id - 1, found.trade_id)),
    TopicKind.AGG_TRADES: (AggTrade, lambda found: (found.agg_trade_id - 1, found.agg_trade_id)),
    TopicKind.BOOK: (
        Book,
        lambda found: None if found.previous_id is None else (found.previous_id, found.update_id),
    ),
}


@dataclass(slots=True)
class _Symbol:
    """What was found of one symbol in one topic."""

    spans: list[Span] = field(default_factory=list)
    values: dict[int, bytes] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)


class TopicReader:
    """For the process named `process`; its own heartbeats are no sign of another. One call at a time."""

    def __init__(self, kafka: KafkaSettings, prefix: str, process: str, partitions: Mapping[TopicKind, int]) -> None:
        config = consumer_config(kafka, f"{prefix}-ingestion-look", f"{prefix}-ingestion-look")
        self._consumer: Any = Consumer(config | {"logger": logging.getLogger("librdkafka")})
        self._prefix = prefix
        self._process = process
        self._partitions = partitions
        self._peek = msgspec.json.Decoder(_Peek)

    def look(self, looks: Sequence[Look]) -> dict[int, Written]:
        """What was asked for, by call; each partition is read once. Raises RetryableError."""
        found: dict[tuple[TopicKind, str], _Symbol] = defaultdict(_Symbol)
        wanted: dict[tuple[TopicKind, int], list[Look]] = defaultdict(list)
        for look in looks:
            kind = FEED_TOPIC[look.feed]
            wanted[kind, partition_of(look.symbol.encode(), self._partitions[kind])].append(look)
        try:
            for (kind, partition), asked in wanted.items():
                since = min(look.since for look in asked) - EARLIER
                messages = self._read(TopicPartition(topic_name(self._prefix, kind), partition), since)
                self._take(kind, {look.symbol.encode(): look.symbol for look in asked}, messages, found)
        except KafkaException as error:
            raise RetryableError(f"cannot read the topics: {error.args[0].str()}") from error
        return {look.call: self._written(FEED_TOPIC[look.feed], look.symbol, look.after, found) for look in looks}

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def _read(self, place: TopicPartition, since: int) -> Iterable[Any]:
        """The messages of a partition from a time on, at most the newest `MOST`."""
        low, high = self._consumer.get_watermark_offsets(place, timeout=CALL_SECONDS)
        place.offset = max(0, since // 1000)
        (first,) = self._consumer.offsets_for_times([place], timeout=CALL_SECONDS)
        if first.error is not None:
            raise RetryableError(f"cannot read {place.topic}: {first.error.str()}")
        start = max(low, high - MOST, first.offset if first.offset >= 0 else high)
        if start >= high:
            return []
        return read_block(self._consumer, TopicPartition(place.topic, place.partition, start), high)

    def _take(
        self,
        kind: TopicKind,
        wanted: Mapping[bytes, str],
        messages: Iterable[Any],
        found: Mapping[tuple[TopicKind, str], _Symbol],
    ) -> None:
        tag, span_of = _SPANS[kind]
        name, alive_since = str(tag.__struct_config__.tag), time.time_ns() // 1000 - ALIVE
        for message in messages:
            symbol = wanted.get(message.key())
            if symbol is None:
                continue
            try:
                peek = self._peek.decode(message.value() or b"")
            except msgspec.MsgspecError:
                continue
            place = found[kind, symbol]
            if peek.type == name and (span := span_of(peek)) is not None:
                place.spans.append(span)
                if kind is not TopicKind.BOOK:
                    place.values[span[1]] = message.value()
            elif (
                peek.type == "heartbeat"
                and peek.process not in ("", self._process)
                and message.timestamp()[1] * 1000 >= alive_since
            ):
                place.others[peek.process] = max(peek.event_time or 0, place.others.get(peek.process, 0))

    @staticmethod
    def _written(kind: TopicKind, symbol: str, after: int, found: Mapping[tuple[TopicKind, str], _Symbol]) -> Written:
        place = found.get((kind, symbol), _Symbol())
        spans = merged(place.spans)
        reached = next((last for before, last in spans if before <= after < last), None)
        record = (
            None if reached is None or kind is TopicKind.BOOK else decode_as(place.values[reached], _SPANS[kind][0])
        )
        return Written(spans, None if isinstance(record, Book) else record, place.others)
