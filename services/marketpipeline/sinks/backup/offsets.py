"""How far a sink has read: offsets that its group has committed, and where these are on a broker to which it moves."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.kafka import client_config
from marketpipeline.settings import KafkaSettings

__all__ = ["Offsets", "read_offsets", "set_offsets"]

_CALL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Offsets:
    """Of a group at a moment (ms since the epoch): the broker's own ids of its cluster and topics, and by
    `topic[number]` the next offset that it had to read."""

    cluster: str
    topics: Mapping[str, str]
    moment: int
    committed: Mapping[str, int]


def read_offsets(kafka: KafkaSettings, group: str, topics: list[str]) -> Offsets:
    """What a group has committed of those of its topics that are there. Raises RetryableError."""
    moment = int(time.time() * 1000)
    with _consumer(kafka, group) as (consumer, config):
        cluster, ids, partitions = _look(config, topics)
        found = consumer.committed(partitions, timeout=_CALL_SECONDS) if partitions else []
        committed = {_name(part): part.offset for part in found if part.offset != OFFSET_INVALID}
    return Offsets(cluster, ids, moment, committed)


def set_offsets(kafka: KafkaSettings, group: str, held: Offsets) -> dict[str, int]:
    """Make the group go on from there; the offsets by partition.

    A topic that is the same has the same offsets. Of one that is another of the same name, as a mirror on another
    broker is, it is the first record of the moment; without such a record nothing is set, and the group begins with
    the topic. Raises RetryableError, and PermanentError while the group reads.
    """
    names = sorted({name.partition("[")[0] for name in held.committed})
    with _consumer(kafka, group) as (consumer, config):
        cluster, ids, partitions = _look(config, names)
        wanted, moved = [], []
        for part in partitions:
            same = cluster == held.cluster and ids[part.topic] == held.topics.get(part.topic)
            if same and (offset := held.committed.get(_name(part))) is not None:
                wanted.append(TopicPartition(part.topic, part.partition, offset))
            elif not same:
                moved.append(TopicPartition(part.topic, part.partition, held.moment))
        found = consumer.offsets_for_times(moved, timeout=_CALL_SECONDS) if moved else []
        wanted += [part for part in found if part.offset >= 0]
        if wanted:
            _commit(consumer, group, wanted)
        return {_name(part): part.offset for part in wanted}


def _commit(consumer: Consumer, group: str, wanted: list[TopicPartition]) -> None:
    try:
        consumer.commit(offsets=wanted, asynchronous=False)
    except KafkaException as error:
        text = error.args[0].name()
        if text in ("UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION"):
            raise PermanentError(
                f"the group {group} reads at this moment: set spec.suspend to true, and to false again with "
                "spec.recovery in place"
            ) from error
        raise


def _look(config: dict[str, Any], topics: list[str]) -> tuple[str, dict[str, str], list[TopicPartition]]:
    """The cluster's id, and the topics that are there with their ids and partitions."""
    admin = AdminClient(config)
    listed = admin.list_topics(timeout=_CALL_SECONDS)
    there = [name for name in topics if name in listed.topics]
    described = admin.describe_topics(TopicCollection(there), request_timeout=_CALL_SECONDS) if there else {}
    found = {name: future.result(_CALL_SECONDS) for name, future in described.items()}
    ids = {name: str(topic.topic_id or "") for name, topic in found.items()}
    return str(listed.cluster_id), ids, [TopicPartition(n, p.id) for n, t in found.items() for p in t.partitions]


@contextmanager
def _consumer(kafka: KafkaSettings, group: str) -> Iterator[tuple[Consumer, dict[str, Any]]]:
    config = client_config(kafka, f"{group}.backup") | {"log_level": 0}
    consumer = Consumer(config | {"group.id": group, "enable.auto.commit": False})
    try:
        yield consumer, config
    except KafkaException as error:
        raise RetryableError(f"broker {kafka.bootstrap_servers}: {error.args[0].str()}") from error
    except TimeoutError as error:
        raise RetryableError(f"broker {kafka.bootstrap_servers} did not answer in time") from error
    finally:
        consumer.close()


def _name(part: TopicPartition) -> str:
    return f"{part.topic}[{part.partition}]"
