"""Records into Kafka: the only module here that produces.

The hot path is one encoding and one call into librdkafka, which batches, compresses and sends in threads of its own;
its callbacks reach Python only for a record that was given up. A full queue never blocks and never drops: records
wait here, in order, and `pressed` tells the reader to stop reading.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.ingestion.context import Publish
from marketpipeline.ingestion.partition import partition_of
from marketpipeline.kafka import producer_config
from marketpipeline.records import Record, cut_dead_letter
from marketpipeline.settings import KafkaSettings
from marketpipeline.telemetry import Tracing
from marketpipeline.topics import TopicKind, topic_name

__all__ = ["KafkaPublisher"]

_log = logging.getLogger(__name__)

HIGH_WATER = 50_000
LOW_WATER = 25_000
"""Records under way at which reading stops, and at which it goes on. librdkafka's own queue holds four times that."""
METADATA_SECONDS = 10.0

Produce = Callable[[str, bytes, bytes, int], None]
Outgoing = tuple[str, bytes, bytes, int]
"""Topic, value, key and partition."""


class _TopicWriter:
    """One symbol in one topic."""

    __slots__ = ("_encode", "_key", "_overflow", "_partition", "_produce", "_publisher", "_topic", "produced")

    def __init__(self, publisher: KafkaPublisher, topic: str, key: bytes, partition: int) -> None:
        self._publisher = publisher
        self._topic = topic
        self._key = key
        self._partition = partition
        self._produce: Produce = publisher.producer.produce
        self._encode = msgspec.json.Encoder().encode
        self._overflow = publisher.overflow
        self.produced = 0

    def publish(self, record: Record) -> None:
        """Hand a record to the client."""
        value = self._encode(record)
        self.produced += 1
        if self._overflow:
            self._overflow.append((self._topic, value, self._key, self._partition))
            return
        try:
            self._produce(self._topic, value, self._key, self._partition)
        except BufferError:
            self._overflow.append((self._topic, value, self._key, self._partition))
        except KafkaException as error:
            self._publisher.not_taken((self._topic, value, self._key, self._partition), error.args[0])

    def publish_traced(self, record: Record) -> None:
        """The same, and now and then with a trace in the record's headers."""
        tracing = self._publisher.tracing
        if tracing is None or not tracing.sampled() or self._overflow:
            self.publish(record)
            return
        received = getattr(record, "receive_time", None)
        start = None if received is None else received * 1000
        attributes = {"messaging.destination.name": self._topic, "messaging.kafka.message.key": record.symbol}
        span = tracing.tracer.start_span("ingest", start_time=start, attributes=attributes)
        try:
            headers = tracing.inject(span)
            self._publisher.producer.produce(
                self._topic, self._encode(record), self._key, self._partition, headers=headers
            )
            self.produced += 1
        except (BufferError, KafkaException):
            self.publish(record)
        finally:
            span.end()


class KafkaPublisher:
    """The producer of one process. `failure` is set once a record was lost for good: the process should end.

    What a restart then finds in the topics is the truth, and it backfills what is missing.
    """

    def __init__(self, kafka: KafkaSettings, prefix: str, client_id: str, tracing: Tracing | None = None) -> None:
        self.tracing = tracing if tracing is not None and tracing.enabled else None
        self.overflow: deque[Outgoing] = deque()
        self.failure: PermanentError | None = None
        self.undelivered = 0
        self._prefix = prefix
        self._writers: dict[tuple[TopicKind, str], _TopicWriter] = {}
        self._partitions: dict[str, int] = {}
        self._dead_letters = topic_name(prefix, TopicKind.DEAD_LETTERS)
        self._side = {topic_name(prefix, kind) for kind in (TopicKind.EVENTS, TopicKind.DEAD_LETTERS, TopicKind.RAW)}
        config = producer_config(kafka, client_id) | {
            "on_delivery": self._delivered,
            "delivery.report.only.error": True,
            "error_cb": self._error,
            "logger": logging.getLogger("librdkafka"),
        }
        self.producer: Any = Producer(config)

    def connect(self, kinds: Iterable[TopicKind]) -> None:
        """Learn the topics' partitions. Blocks. Raises RetryableError while the broker or a topic is absent."""
        wanted = {topic_name(self._prefix, kind) for kind in kinds}
        try:
            known = self.producer.list_topics(timeout=METADATA_SECONDS).topics
        except KafkaException as error:
            raise RetryableError(f"no broker: {error.args[0].str()}") from error
        missing = sorted(name for name in wanted if name not in known or known[name].error is not None)
        if missing:
            raise RetryableError(f"no topic {', '.join(missing)}")
        self._partitions = {name: len(known[name].partitions) for name in wanted}

    def partitions(self, kind: TopicKind) -> int:
        """How many partitions a topic has; after `connect`."""
        return self._partitions[topic_name(self._prefix, kind)]

    def writer(self, kind: TopicKind, symbol: str) -> Publish:
        """What writes records of one symbol to one topic."""
        writer = self._writers.get((kind, symbol))
        if writer is None:
            topic, key = topic_name(self._prefix, kind), symbol.encode()
            writer = _TopicWriter(self, topic, key, partition_of(key, self._partitions[topic]))
            self._writers[kind, symbol] = writer
        return writer.publish if self.tracing is None else writer.publish_traced

    @property
    def in_flight(self) -> int:
        """Records that the broker has not acknowledged yet."""
        return len(self.producer) + len(self.overflow)

    def produced(self) -> dict[TopicKind, int]:
        """Records handed over so far, by topic."""
        counts: dict[TopicKind, int] = {}
        for (kind, _), writer in list(self._writers.items()):
            counts[kind] = counts.get(kind, 0) + writer.produced
        return counts

    def poll(self) -> None:
        """Let the client report, and give it what waits. To be called often."""
        self.producer.poll(0)
        while self.overflow:
            message = self.overflow[0]
            try:
                self.producer.produce(*message)
            except BufferError:
                return
            except KafkaException as error:
                self.not_taken(message, error.args[0])
            self.overflow.popleft()

    def pressed(self, paused: bool) -> bool:
        """Whether reading should stop, given whether it has: it goes on only when much less is under way."""
        if self.overflow or len(self.producer) > (LOW_WATER if paused else HIGH_WATER):
            self.poll()
            return bool(self.overflow) or len(self.producer) > (LOW_WATER if paused else HIGH_WATER)
        return False

    def flush(self, seconds: float) -> int:
        """Wait until all is acknowledged, at most so long; returns how many records are not."""
        deadline = time.monotonic() + seconds
        while self.in_flight and time.monotonic() < deadline:
            self.poll()
            self.producer.flush(min(0.2, max(0.0, deadline - time.monotonic())))
        return self.in_flight

    def not_taken(self, message: Outgoing, error: KafkaError) -> None:
        """The client does not take a message. A dead letter that is too large is cut and waits for the next `poll`."""
        topic, value, key, partition = message
        if topic == self._dead_letters and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            cut = cut_dead_letter(value)
            if len(cut) < len(value):
                self.overflow.append((topic, cut, key, partition))
                return
        self.refused(topic, error)

    def refused(self, topic: str, error: KafkaError) -> None:
        """A record cannot be delivered. Of data that ends the process; what is beside it is logged and counted."""
        self.undelivered += 1
        _log.error("a record was not delivered to %s: %s", topic, error.str())
        if topic not in self._side and self.failure is None:
            self.failure = PermanentError(f"a record for {topic} was not delivered: {error.str()}")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.refused(message.topic() or "", error)

    def _error(self, error: KafkaError) -> None:
        if error.fatal() and self.failure is None:
            self.failure = PermanentError(f"the producer cannot go on: {error.str()}")
        _log.log(logging.ERROR if error.fatal() else logging.WARNING, "broker: %s", error.str())
