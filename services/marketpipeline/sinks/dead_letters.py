"""Rows that cannot be stored, on their way to the dead-letter topic, with headers named as Kafka Connect names them."""

from __future__ import annotations

import base64
import time
from collections import deque
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from marketpipeline.kafka import producer_config
from marketpipeline.records import DeadLetter, cut_dead_letter, encode
from marketpipeline.sink_kinds import SinkSettings
from marketpipeline.sinks.base import Backpressure
from marketpipeline.topics import TopicKind, topic_name

__all__ = ["DeadLetters", "Origin"]


class Origin(NamedTuple):
    """The message that could not be stored."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes


class DeadLetters:
    """Holds letters until the broker has them; offsets are committed only after `settle`.

    At most a batch of them is ever held.
    """

    def __init__(self, settings: SinkSettings, sink: str) -> None:
        self._topic = topic_name(settings.topic_prefix, TopicKind.DEAD_LETTERS)
        self._sink = sink
        self._config = producer_config(settings.kafka, f"{settings.pipeline}-{sink}-dead-letters")
        self._producer: Producer | None = None
        self._waiting: deque[dict[str, Any]] = deque()
        self._in_flight = 0

    @property
    def unsettled(self) -> int:
        """Letters that the broker does not have yet."""
        return len(self._waiting) + self._in_flight

    def add(self, origin: Origin, error: Exception, stage: str) -> None:
        """Take a letter. `stage` is Connect's word: VALUE_CONVERTER (does not decode) or TASK_PUT (not stored)."""
        letter = _letter(origin, str(error))
        headers = {
            "topic": origin.topic,
            "partition": str(origin.partition),
            "offset": str(origin.offset),
            "connector.name": self._sink,
            "stage": stage,
            "exception.class.name": f"{type(error).__module__}.{type(error).__qualname__}",
            "exception.message": str(error),
        }
        self._waiting.append(
            {
                "topic": self._topic,
                "key": origin.key,
                "value": encode(letter),
                "headers": [(f"__connect.errors.{name}", text.encode()) for name, text in headers.items()],
            }
        )

    def settle(self, timeout: float = 5.0) -> None:
        """Return once the broker has every letter. Raises Backpressure when it has not within `timeout` seconds."""
        if not self.unsettled:
            return
        if self._producer is None:
            self._producer = Producer(self._config)
        for _ in range(len(self._waiting)):
            self._produce(self._producer, self._waiting.popleft())
        self._producer.flush(timeout)
        if self.unsettled:
            raise Backpressure("the broker does not take dead letters")

    def _produce(self, producer: Producer, letter: dict[str, Any]) -> None:
        def delivered(error: KafkaError | None, _: Message) -> None:
            self._in_flight -= 1
            if error is not None:
                self._waiting.append(letter)

        try:
            producer.produce(**letter, on_delivery=delivered)
        except BufferError:
            self._waiting.append(letter)
            return
        except KafkaException as error:
            if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                self._waiting.append(letter)
                raise Backpressure(f"the broker does not take dead letters: {error}") from error
            producer.produce(**(letter | {"value": cut_dead_letter(letter["value"])}), on_delivery=delivered)
        self._in_flight += 1


def _letter(origin: Origin, error: str) -> DeadLetter:
    try:
        payload, base64ed = origin.value.decode(), False
    except UnicodeDecodeError:
        payload, base64ed = base64.b64encode(origin.value).decode(), True
    return DeadLetter(
        symbol=(origin.key or b"").decode(errors="replace"),
        payload=payload,
        encoding="base64" if base64ed else "utf-8",
        error=error,
        source=f"{origin.topic}[{origin.partition}]@{origin.offset}",
        ingestion_time=time.time_ns() // 1_000,
    )
