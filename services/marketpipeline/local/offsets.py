"""How far topics reach, and how far a consumer group has come in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaException, TopicPartition

from marketpipeline.errors import RetryableError
from marketpipeline.kafka import client_config
from marketpipeline.plan import Topic
from marketpipeline.settings import KafkaSettings

__all__ = ["Ends", "Offsets"]

Ends = Mapping[tuple[str, int], int]
"""Offset after the last record, by topic and partition; empty partitions are left out."""

_SECONDS = 10.0


class Offsets:
    """Asks the broker. Raises RetryableError while it does not answer.

    Each question has a consumer of its own, which joins no group. The admin client of librdkafka 2.16 cannot do
    this: asked for a group's offsets while the broker's coordinator still loads, it ends the process by a
    segmentation fault, and one that outlives a restart of the broker is refused for its old leader epochs
    (docs/decisions/0053).
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._config = client_config(settings, "local-offsets") | {"log_level": 0}

    def ends(self, topics: Sequence[Topic]) -> Ends:
        """Where `topics` end now."""
        partitions = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
        found = {}
        with self._asking("") as consumer:
            for place in partitions:
                first, end = consumer.get_watermark_offsets(place, timeout=_SECONDS)
                if end > first:
                    found[place.topic, place.partition] = end
        return found

    def behind(self, group: str, ends: Ends) -> int:
        """Records up to `ends` that the group has not committed yet."""
        if not ends:
            return 0
        with self._asking(group) as consumer:
            places = consumer.committed([TopicPartition(*place) for place in ends], timeout=_SECONDS)
        committed = {(found.topic, found.partition): found.offset for found in places}
        return sum(max(0, end - max(0, committed.get(key, 0))) for key, end in ends.items())

    @contextmanager
    def _asking(self, group: str) -> Iterator[Consumer]:
        consumer = Consumer(self._config | {"group.id": group or "unused"})
        try:
            yield consumer
        except KafkaException as error:
            raise RetryableError(f"the broker does not say how far topics and groups are: {error}") from error
        finally:
            consumer.close()
