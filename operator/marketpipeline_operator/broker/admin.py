"""Topics at the broker itself, through Kafka's AdminClient.

What can be changed follows the spec: partitions grow, retention is set. What cannot, or not without loss, is a finding
that a person has to decide on: fewer partitions, another replication factor, another clean-up policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.kafka import client_config
from marketpipeline.plan import Topic
from marketpipeline.settings import KafkaSettings

__all__ = ["TopicsReport", "delete_topics", "ensure_topics", "translate"]

_TIMEOUT = 8.0
_FIXED = "cleanup.policy"


@dataclass
class TopicsReport:
    """What was done, and what a person has to decide. `ids` are the broker's own ids of the topics by name.

    What is `unfit` would lose records: nothing may write to it.
    """

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    mismatches: list[str] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)


def ensure_topics(settings: KafkaSettings, topics: Sequence[Topic]) -> TopicsReport:
    """Make what is missing, grow and set what may be. Blocks. Raises RetryableError or PermanentError."""
    admin = _connect(settings)
    report = TopicsReport()
    try:
        found = _describe(admin, [topic.name for topic in topics])
        missing = [topic for topic in topics if topic.name not in found]
        if missing:
            _create(admin, missing, report)
            found |= _describe(admin, [topic.name for topic in missing])
        report.ids = {name: str(description.topic_id) for name, description in found.items()}
        existing = [topic for topic in topics if topic not in missing and topic.name in found]
        if existing:
            _partitions(admin, existing, found, report)
            _settings(admin, existing, report)
    except KafkaException as error:
        raise translate(error, settings) from error
    return report


def delete_topics(settings: KafkaSettings, names: Sequence[str]) -> None:
    """Remove topics; one that is absent is as it should be. Blocks. Raises RetryableError or PermanentError."""
    admin = _connect(settings)
    for name, future in admin.delete_topics(list(names), operation_timeout=_TIMEOUT, request_timeout=_TIMEOUT).items():
        try:
            future.result(_TIMEOUT + 2)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise translate(error, settings, f"topic {name}") from error
        except TimeoutError as error:
            raise RetryableError(f"broker {settings.bootstrap_servers} did not answer in time") from error


def translate(error: KafkaException, settings: KafkaSettings, what: str = "") -> RetryableError | PermanentError:
    """What the client raised, as one of the project's own errors that name the broker."""
    cause: KafkaError = error.args[0]
    message = f"broker {settings.bootstrap_servers}: {what + ': ' if what else ''}{cause.str()}"
    permanent = {
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.INVALID_CONFIG,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_EXCEPTION,
    }
    return PermanentError(message) if cause.code() in permanent else RetryableError(message)


def _connect(settings: KafkaSettings) -> AdminClient:
    # The client speaks of a lost broker through its log; the answer to the request says the same.
    quiet = {"socket.connection.setup.timeout.ms": 5_000, "log_level": 0}
    return AdminClient(client_config(settings, "marketpipeline-operator") | quiet)


def _result(future: Future[Any]) -> Any:
    return future.result(_TIMEOUT + 2)


def _describe(admin: AdminClient, names: Sequence[str]) -> dict[str, Any]:
    """Topics that exist, by name."""
    found = {}
    for name, future in admin.describe_topics(TopicCollection(list(names)), request_timeout=_TIMEOUT).items():
        try:
            found[name] = _result(future)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    return found


def _create(admin: AdminClient, topics: Sequence[Topic], report: TopicsReport) -> None:
    new = [
        NewTopic(t.name, num_partitions=t.partitions, replication_factor=t.replication_factor, config=dict(t.config))
        for t in topics
    ]
    for name, future in admin.create_topics(new, operation_timeout=_TIMEOUT, request_timeout=_TIMEOUT).items():
        try:
            _result(future)
            report.created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def _partitions(admin: AdminClient, topics: Sequence[Topic], found: dict[str, Any], report: TopicsReport) -> None:
    grow = []
    for topic in topics:
        partitions = found[topic.name].partitions
        copies = len(partitions[0].replicas) if partitions else topic.replication_factor
        if len(partitions) < topic.partitions:
            grow.append(NewPartitions(topic.name, topic.partitions))
        elif len(partitions) > topic.partitions:
            report.kept.append(
                f"topic {topic.name} has {len(partitions)} partitions and keeps them, the spec says "
                f"{topic.partitions}: partitions never shrink, set broker.partitions to {len(partitions)}"
            )
        if copies != topic.replication_factor:
            report.mismatches.append(
                f"topic {topic.name} has replication factor {copies}, the spec says {topic.replication_factor}: "
                "reassign its partitions, or set broker.replicationFactor"
            )
    if grow:
        for name, future in admin.create_partitions(grow, request_timeout=_TIMEOUT).items():
            _result(future)
            report.changed.append(f"{name} partitions")


def _settings(admin: AdminClient, topics: Sequence[Topic], report: TopicsReport) -> None:
    wanted = {topic.name: topic.config for topic in topics}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in wanted]
    alter = []
    for resource, future in admin.describe_configs(resources, request_timeout=_TIMEOUT).items():
        live = {name: entry.value for name, entry in _result(future).items()}
        other = {key: value for key, value in wanted[resource.name].items() if live.get(key) != value}
        if _FIXED in other:
            report.unfit.append(resource.name)
            report.mismatches.append(
                f"topic {resource.name} has {_FIXED}={live.get(_FIXED)}, this pipeline needs {other[_FIXED]}: it was "
                "made by something else; delete it, or choose another broker.topicPrefix"
            )
        elif other:
            entries = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in other.items()]
            alter.append(ConfigResource(ResourceType.TOPIC, resource.name, incremental_configs=entries))
            report.changed += [f"{resource.name} {key}={value}" for key, value in other.items()]
    if alter:
        for future in admin.incremental_alter_configs(alter, request_timeout=_TIMEOUT).values():
            _result(future)
