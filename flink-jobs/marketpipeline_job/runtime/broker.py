"""What the broker says of the topics that the job reads: whose they are, and whether all of them can still be read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from marketpipeline.errors import RetryableError
from marketpipeline.kafka import client_config
from marketpipeline.settings import JobSettings
from marketpipeline.topics import topic_name

from marketpipeline_job.job import sources

__all__ = ["BrokerView", "Partition", "look_at_broker"]

_CALL_SECONDS = 10.0
_WAIT_SECONDS = 300.0
_POLL_SECONDS = 0.3
_BEHIND_MS = 60_000


@dataclass(frozen=True, slots=True)
class Partition:
    """The first offset that can be read, the next that will be written, and the offset that the job committed last.

    Nothing is committed where the job has read nothing, or when the broker has forgotten it: by default after a week.
    """

    first: int
    end: int
    committed: int | None = None
    begins_at: int | None = None
    """Time of the first record, in ms since the epoch; only where that was asked for and records were deleted."""


@dataclass(frozen=True, slots=True)
class BrokerView:
    """The cluster's own id, the id of each source topic by name, and their partitions as `topic[number]`.

    An id is empty where a broker gives its topics none.
    """

    cluster: str
    topics: Mapping[str, str]
    partitions: Mapping[str, Partition]

    def unreadable(self, read: Mapping[str, int]) -> list[str]:
        """What a job that has `read` up to these offsets can not go on with: records were deleted, or are others."""
        found = []
        for name, partition in self.partitions.items():
            up_to = read.get(name, partition.committed)
            if up_to is None and partition.first > 0:
                found.append(f"{name} begins at {partition.first}, and how far the job had read is not known any more")
            elif up_to is None:
                continue
            elif partition.first > up_to:
                found.append(f"{name} begins at {partition.first}, the job had read up to {up_to}")
            elif up_to > partition.end:
                found.append(f"{name} ends at {partition.end}, the job had read up to {up_to}")
        return found

    def begins_after(self, moment: int) -> list[str]:
        """What of the records after a state of that moment (ms since the epoch) is surely, or may be, deleted.

        A job may have been somewhat behind, so the topics have to begin a minute before.
        """
        least = moment - _BEHIND_MS
        return [
            f"{name} begins at {partition.first}, after that state was written"
            for name, partition in self.partitions.items()
            if partition.first > 0 and (partition.begins_at is None or partition.begins_at > least)
        ]

    def missing(self) -> str:
        """What a start from the beginning of the topics cannot read any more."""
        found = [
            f"{name} begins at {partition.first}" for name, partition in self.partitions.items() if partition.first
        ]
        if not found:
            return "all of their records are still there"
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        return f"what was deleted before is not computed again: {', '.join(found[:5])}{more}"


def look_at_broker(settings: JobSettings) -> BrokerView:
    """Ask; a broker or a topic that is not there yet is waited for. Raises RetryableError after five minutes."""
    names = [topic_name(settings.topic_prefix, kind) for kind in sources(settings)]
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return _look(settings, names)
        except RetryableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)


def _look(settings: JobSettings, names: list[str]) -> BrokerView:
    config = client_config(settings.kafka, f"{settings.consumer_group}.start") | {
        "log_level": 0,
        "reconnect.backoff.max.ms": 300,
    }
    consumer = Consumer(config | {"group.id": settings.consumer_group, "enable.auto.commit": False})
    try:
        admin = AdminClient(config)
        cluster = admin.list_topics(timeout=_CALL_SECONDS).cluster_id
        described = admin.describe_topics(TopicCollection(names), request_timeout=_CALL_SECONDS)
        topics = {name: future.result(_CALL_SECONDS) for name, future in described.items()}
        partitions = [TopicPartition(name, p.id) for name, topic in topics.items() for p in topic.partitions]
        spans = _spans(consumer, partitions)
        if settings.initial_savepoint:
            spans |= _begun(consumer, spans, partitions)
    except KafkaException as error:
        raise RetryableError(f"broker {settings.kafka.bootstrap_servers}: {error.args[0].str()}") from error
    except TimeoutError as error:
        raise RetryableError(f"broker {settings.kafka.bootstrap_servers} did not answer in time") from error
    finally:
        consumer.close()
    return BrokerView(str(cluster), {name: _text(topic.topic_id) for name, topic in topics.items()}, spans)


def _text(topic_id: Any) -> str:
    return "" if topic_id is None else str(topic_id)


def _spans(consumer: Consumer, partitions: list[TopicPartition]) -> dict[str, Partition]:
    found = {}
    for known in consumer.committed(partitions, timeout=_CALL_SECONDS):
        first, end = consumer.get_watermark_offsets(known, timeout=_CALL_SECONDS)
        committed = None if known.offset == OFFSET_INVALID else known.offset
        found[_name(known)] = Partition(first, end, committed)
    return found


def _begun(
    consumer: Consumer, spans: Mapping[str, Partition], partitions: list[TopicPartition]
) -> dict[str, Partition]:
    """The partitions that do not begin at 0 and hold a record, with the time of their first."""
    wanted = [part for part in partitions if 0 < spans[_name(part)].first < spans[_name(part)].end]
    found: dict[str, Partition] = {}
    deadline = time.monotonic() + _CALL_SECONDS
    consumer.assign([TopicPartition(part.topic, part.partition, spans[_name(part)].first) for part in wanted])
    while len(found) < len(wanted) and time.monotonic() < deadline:
        message = consumer.poll(_POLL_SECONDS)
        if message is None or message.error():
            continue
        name = _name(TopicPartition(message.topic() or "", message.partition() or 0))
        found.setdefault(name, replace(spans[name], begins_at=message.timestamp()[1]))
    consumer.unassign()
    return found


def _name(partition: TopicPartition) -> str:
    return f"{partition.topic}[{partition.partition}]"
