"""The plan's topics on the broker, and the thresholds in force in their topic."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
)

from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.kafka import client_config, consumer_config, producer_config
from marketpipeline.plan import Topic
from marketpipeline.records import SymbolThresholds, decode, encode
from marketpipeline.settings import KafkaSettings

__all__ = ["ensure_topics", "publish_thresholds"]

_SECONDS = 20.0
_METADATA_SECONDS = 5.0
_QUIET = {"log_level": 2}
"""A client of a broker that has just started is turned away a few times; that is no news for the terminal."""
_REFUSED = (
    KafkaError.INVALID_CONFIG,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.POLICY_VIOLATION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_EXCEPTION,
)
"""Answers that stay the same however often it is asked; any other is a broker that is not ready yet."""


def ensure_topics(settings: KafkaSettings, topics: Sequence[Topic]) -> None:
    """Make what is absent, add partitions where the plan has more, set the settings. Never shrinks, never deletes.

    Raises RetryableError while the broker is away, PermanentError for what it refuses.
    """
    admin = AdminClient(client_config(settings, "local-topics") | _QUIET)
    try:
        known = admin.list_topics(timeout=_METADATA_SECONDS).topics
    except KafkaException as error:
        raise _translated(error) from error
    absent = [
        NewTopic(t.name, t.partitions, t.replication_factor, config=t.config) for t in topics if t.name not in known
    ]
    if absent:
        for name, done in admin.create_topics(absent, operation_timeout=_SECONDS).items():
            _finish(done, name, ignore=KafkaError.TOPIC_ALREADY_EXISTS)
    present = [topic for topic in topics if topic.name in known]
    growing = [NewPartitions(t.name, t.partitions) for t in present if t.partitions > len(known[t.name].partitions)]
    if growing:
        for name, done in admin.create_partitions(growing, operation_timeout=_SECONDS).items():
            _finish(done, name)
    configs = [_config(topic) for topic in present if topic.config]
    if configs:
        for resource, done in admin.incremental_alter_configs(configs).items():
            _finish(done, str(resource))


def publish_thresholds(settings: KafkaSettings, topic: Topic, thresholds: Iterable[SymbolThresholds]) -> int:
    """Write the thresholds that differ from the newest ones in the topic; returns how many that were.

    The thresholds of a symbol are what is compared: `effective_from` only says since when, which is now for a change.
    """
    known = _newest_thresholds(settings, topic)
    now = time.time_ns() // 1_000
    changed = [
        msgspec.structs.replace(record, effective_from=now) if record.symbol in known else record
        for record in thresholds
        if known.get(record.symbol) != record.values
    ]
    producer = Producer(producer_config(settings, "local-thresholds") | _QUIET)
    for record in changed:
        producer.produce(topic.name, key=record.symbol.encode(), value=encode(record))
    if producer.flush(_SECONDS):
        raise RetryableError(f"the broker did not take the thresholds within {_SECONDS:g} s")
    return len(changed)


def _newest_thresholds(settings: KafkaSettings, topic: Topic) -> dict[str, dict[str, float]]:
    consumer = Consumer(consumer_config(settings, "local-thresholds", f"{topic.name}.reader") | _QUIET)
    newest: dict[str, dict[str, float]] = {}
    try:
        for number in range(topic.partitions):
            partition = TopicPartition(topic.name, number)
            low, high = consumer.get_watermark_offsets(partition, timeout=_SECONDS)
            if low == high:
                continue
            consumer.assign([TopicPartition(topic.name, number, low)])
            while consumer.position([partition])[0].offset < high:
                message = consumer.poll(_SECONDS)
                if message is None:
                    raise RetryableError(f"{topic.name} could not be read within {_SECONDS:g} s")
                value = message.value()
                if (
                    message.error() is None
                    and value is not None
                    and isinstance(record := decode(value), SymbolThresholds)
                ):
                    newest[record.symbol] = record.values
    except KafkaException as error:
        raise _translated(error) from error
    finally:
        consumer.close()
    return newest


def _config(topic: Topic) -> ConfigResource:
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic.name)
    for name, value in topic.config.items():
        resource.add_incremental_config(ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET))
    return resource


def _finish(done: Future[Any], name: str, ignore: int | None = None) -> None:
    try:
        done.result(_SECONDS)
    except KafkaException as error:
        if ignore is None or error.args[0].code() != ignore:
            raise _translated(error, name) from error


def _translated(error: KafkaException, what: str = "broker") -> RetryableError | PermanentError:
    reason = error.args[0]
    refused = reason.code() in _REFUSED
    return (PermanentError if refused else RetryableError)(f"{what}: {reason.str()}")
