"""How far topics reach, and how far a consumer group has come in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from marketpipeline.errors import RetryableError
from marketpipeline.kafka import client_config
from marketpipeline.plan import Topic
from marketpipeline.settings import KafkaSettings

__all__ = ["Ends", "Offsets"]

Ends = Mapping[tuple[str, int], int]
"""Offset behind the last record, by topic and partition; empty partitions are left out."""

_SECONDS = 10.0


class Offsets:
    """Asks the broker. Raises RetryableError while it does not answer."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._admin = AdminClient(client_config(settings, "local-offsets") | {"log_level": 0})

    def ends(self, topics: Sequence[Topic]) -> Ends:
        """Where `topics` end now."""
        partitions = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
        if not partitions:
            return {}
        first = self._listed(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        last = self._listed(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        return {key: end for key, end in last.items() if end > first[key]}

    def behind(self, group: str, ends: Ends) -> int:
        """Records up to `ends` that the group has not committed yet."""
        if not ends:
            return 0
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, number) for topic, number in ends])
        try:
            done = self._admin.list_consumer_group_offsets([asked], request_timeout=_SECONDS)[group].result(_SECONDS)
        except (KafkaException, TimeoutError) as error:
            raise RetryableError(f"the broker does not say where group {group} is: {error}") from error
        committed = {(found.topic, found.partition): found.offset for found in done.topic_partitions}
        return sum(max(0, end - max(0, committed.get(key, 0))) for key, end in ends.items())

    def _listed(self, partitions: Sequence[TopicPartition], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        try:
            asked = self._admin.list_offsets(dict.fromkeys(partitions, spec), request_timeout=_SECONDS)
            return {(part.topic, part.partition): done.result(_SECONDS).offset for part, done in asked.items()}
        except (KafkaException, TimeoutError) as error:
            raise RetryableError(f"the broker does not say where topics end: {error}") from error
