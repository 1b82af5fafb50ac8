"""The topics of one test: made, filled, and compared with what a consumer group has committed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
from marketpipeline.kafka import client_config, producer_config
from marketpipeline.records import Record, encode
from marketpipeline.settings import KafkaSettings
from marketpipeline.store import REDIS_TOPICS, TABLES, TIMESCALE_TOPICS
from marketpipeline.topics import TopicKind, topic_name

from tests.conftest import wait_for
from tests.support.broker import RunningBroker

__all__ = ["Topics"]

_KIND_OF = {table.record: table.topic for table in TABLES}


class Topics:
    """All topics that sinks read and write, three partitions each, below a prefix of their own."""

    def __init__(self, broker: RunningBroker, kinds: Iterable[TopicKind] = REDIS_TOPICS | TIMESCALE_TOPICS) -> None:
        self.prefix = broker.prefix()
        self.kafka = KafkaSettings(bootstrap_servers=broker.address)
        self._producer = Producer(producer_config(self.kafka, "test"))
        self._kinds = set(REDIS_TOPICS | TIMESCALE_TOPICS)
        self.create(*kinds, TopicKind.DEAD_LETTERS)

    def _admin(self) -> AdminClient:
        """A new client each time: one that knew the broker before a restart is refused for the leader epoch that it
        remembers, or even aborts the process by an assertion of librdkafka 2.16.
        """
        return AdminClient(client_config(self.kafka, "test"))

    def name(self, kind: TopicKind) -> str:
        """The name of a topic."""
        return topic_name(self.prefix, kind)

    def create(self, *kinds: TopicKind) -> None:
        """Make topics."""
        wanted = [NewTopic(self.name(kind), num_partitions=3, replication_factor=1) for kind in kinds]
        admin = self._admin()
        for done in admin.create_topics(wanted).values():
            done.result(30)

    def put(self, *records: Record) -> None:
        """Write records to the topics of their kinds, by symbol."""
        from marketpipeline.records import Book, Heartbeat, Quote

        others = {Heartbeat: TopicKind.TRADES, Quote: TopicKind.QUOTES, Book: TopicKind.BOOK}
        for record in records:
            kind = _KIND_OF.get(type(record)) or others[type(record)]
            self.put_raw(kind, record.symbol.encode(), encode(record), settle=False)
        self.settle()

    def put_raw(self, kind: TopicKind, key: bytes, value: bytes | None, *, settle: bool = True) -> None:
        """Write one message."""
        while True:
            try:
                self._producer.produce(self.name(kind), key=key, value=value)
                break
            except BufferError:
                self._producer.poll(0.1)
        if settle:
            self.settle()

    def settle(self) -> None:
        """Wait until the broker has everything."""
        assert self._producer.flush(30) == 0

    def ends(self, kinds: Iterable[TopicKind]) -> dict[tuple[str, int], int]:
        """The end of each partition."""
        places = [TopicPartition(self.name(kind), number) for kind in kinds for number in range(3)]

        def ask() -> dict[tuple[str, int], int] | None:
            admin = self._admin()
            newest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            asked = admin.list_offsets(dict.fromkeys(places, newest), request_timeout=5)
            try:
                return {(place.topic, place.partition): done.result(30).offset for place, done in asked.items()}
            except KafkaException:  # a topic that was made this moment has no leader yet
                return None

        found = wait_for(ask, "the ends of the partitions")
        assert found is not None
        return found

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """What a consumer group has committed in the topics of the sinks."""
        places = [TopicPartition(self.name(kind), number) for kind in self._kinds for number in range(3)]
        consumer = Consumer(client_config(self.kafka, "test") | {"group.id": group})
        try:
            found = consumer.committed(places, timeout=10)
        except KafkaException:  # the broker is away, or its coordinator loads
            return {}
        finally:
            consumer.close()
        return {(place.topic, place.partition): place.offset for place in found if place.offset >= 0}

    def members(self, group: str) -> list[str]:
        """The ids of a group's members."""
        admin = self._admin()
        described = admin.describe_consumer_groups([group])[group].result(30)
        return [member.member_id for member in described.members]

    def wait_until_drained(self, group: str, kinds: Iterable[TopicKind]) -> None:
        """Wait until the group has committed everything up to the ends."""
        ends = self.ends(kinds)

        def drained() -> bool:
            committed = self.committed(group)
            return all(committed.get(place, -1) >= end for place, end in ends.items())

        wait_for(drained, f"{group} commits up to {ends}", seconds=60)

    @staticmethod
    def headers(message: Message) -> dict[str, str]:
        """A message's headers as text."""
        pairs: Any = message.headers() or []
        return {name: value.decode() for name, value in pairs}

    def dead_letters(self, count: int) -> list[Message]:
        """The first `count` dead letters."""
        consumer = Consumer(client_config(self.kafka, "test") | {"group.id": "unused", "auto.offset.reset": "earliest"})
        consumer.assign([TopicPartition(self.name(TopicKind.DEAD_LETTERS), number, 0) for number in range(3)])
        found: list[Message] = []

        def enough() -> bool:
            found.extend(message for message in consumer.consume(100, 0.2) if message.error() is None)
            return len(found) >= count

        try:
            wait_for(enough, f"{count} dead letters", seconds=20)
        finally:
            consumer.close()
        return found
