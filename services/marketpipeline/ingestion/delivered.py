"""What the topics hold already: the newest record of each symbol, where a restart goes on.

The topics are the truth: what a process had in flight when it was killed is either in them or was never delivered.
Each partition is read backwards in blocks until every symbol in it was found, at most `MOST` records. Where partitions
were added a symbol is in another one since: so one that is not found is looked for near the end of the others, too.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from marketpipeline.errors import RetryableError
from marketpipeline.ingestion.handlers import Delivered
from marketpipeline.ingestion.partition import partition_of
from marketpipeline.kafka import consumer_config
from marketpipeline.records import AggTrade, Book, Record, Trade, decode
from marketpipeline.settings import KafkaSettings
from marketpipeline.topics import TopicKind, topic_name

__all__ = ["CALL_SECONDS", "KINDS", "decode_as", "read_block", "read_delivered"]

_log = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)

Wanted = Trade | AggTrade | Book

KINDS: dict[TopicKind, type[Wanted]] = {TopicKind.TRADES: Trade, TopicKind.AGG_TRADES: AggTrade, TopicKind.BOOK: Book}
"""Topics whose past matters, and the records in them that do."""

FIRST_BLOCK, LARGEST_BLOCK = 1_000, 20_000
MOST = 1_000_000
MOST_ELSEWHERE = 20_000
"""In the partitions that a symbol is not in now: partitions are added while ingestion runs, which is restarted then."""
BLOCK_SECONDS = 30.0
CALL_SECONDS = 10.0


def read_delivered(
    kafka: KafkaSettings, prefix: str, symbols: Sequence[str], partitions: dict[TopicKind, int]
) -> Delivered:
    """The newest record of each symbol in the topics of `partitions` (their numbers of partitions). Blocks.

    Raises RetryableError when the broker does not answer.
    """
    config = consumer_config(kafka, f"{prefix}-ingestion-tail", f"{prefix}-ingestion-tail")
    consumer: Any = Consumer(config | {"logger": logging.getLogger("librdkafka")})
    delivered = Delivered()
    found: dict[TopicKind, dict[str, Any]] = {
        TopicKind.TRADES: delivered.trades,
        TopicKind.AGG_TRADES: delivered.agg_trades,
        TopicKind.BOOK: delivered.books,
    }
    try:
        for kind, count in partitions.items():
            by_partition: dict[int, set[bytes]] = {}
            for symbol in symbols:
                by_partition.setdefault(partition_of(symbol.encode(), count), set()).add(symbol.encode())
            topic, missing = topic_name(prefix, kind), {symbol.encode() for symbol in symbols}
            for partition, keys in by_partition.items():
                found[kind] |= _read_partition(consumer, topic, partition, keys, KINDS[kind], MOST)
                missing -= {symbol.encode() for symbol in found[kind]}
            for partition in range(count) if missing else ():
                elsewhere = missing - by_partition.get(partition, set())
                found[kind] |= _read_partition(consumer, topic, partition, elsewhere, KINDS[kind], MOST_ELSEWHERE)
                missing -= {symbol.encode() for symbol in found[kind]}
            for key in missing if found[kind] else ():
                _log.warning("no recent record of %s in %s", key.decode(), topic)
    except KafkaException as error:
        raise RetryableError(f"cannot read what the topics hold: {error.args[0].str()}") from error
    finally:
        consumer.close()
    return delivered


def _read_partition(
    consumer: Any, topic: str, partition: int, keys: set[bytes], wanted: type[Wanted], most: int
) -> dict[str, Any]:
    """The newest record of type `wanted` for each key among the last `most` messages of a partition."""
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=CALL_SECONDS)
    missing = set(keys)
    newest: dict[str, Any] = {}
    end, block = high, FIRST_BLOCK
    while missing and end > low and high - end < most:
        start = max(low, end - block)
        for message in reversed(list(read_block(consumer, TopicPartition(topic, partition, start), end))):
            key = message.key()
            if key in missing and (record := decode_as(message.value(), wanted)) is not None:
                newest[record.symbol] = record
                missing.discard(key)
        end, block = start, min(block * 4, LARGEST_BLOCK)
    return newest


def read_block(consumer: Any, start: TopicPartition, end: int) -> Iterator[Any]:
    """The messages from an offset up to another. Raises RetryableError when that takes too long."""
    consumer.assign([start])
    deadline = time.monotonic() + BLOCK_SECONDS
    position = start.offset
    while position < end:
        for message in consumer.consume(min(1_000, max(1, end - position)), timeout=0.2):
            if message.error() is not None:
                raise RetryableError(f"cannot read {start.topic}: {message.error().str()}")
            if message.offset() < end:
                yield message
        position = consumer.position([TopicPartition(start.topic, start.partition)])[0].offset
        if position < end and time.monotonic() > deadline:
            raise RetryableError(f"{start.topic}[{start.partition}] was not read within {BLOCK_SECONDS:g} s")


def decode_as(value: bytes | None, wanted: type[R]) -> R | None:
    """The record, or None for another kind or one that this release cannot read."""
    try:
        record = decode(value or b"")
    except msgspec.MsgspecError:
        return None
    return record if isinstance(record, wanted) else None
