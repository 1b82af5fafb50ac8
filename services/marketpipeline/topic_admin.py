"""The topics of a plan at the broker, and the thresholds in force in theirs: the same on every platform.

What can be changed follows the spec: partitions grow, retention is set. What cannot, or not without loss, is a finding
that a person has to decide on: fewer partitions, another replication factor, another clean-up policy. All of it blocks.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
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
from marketpipeline.kafka import client_config, consumer_config, producer_config
from marketpipeline.plan import Topic
from marketpipeline.records import FeedEvent, SymbolThresholds, decode, encode
from marketpipeline.settings import KafkaSettings

__all__ = ["TopicsReport", "delete_topics", "ensure_topics", "publish_events", "publish_thresholds"]

InForce = tuple[dict[str, float], str]
"""Thresholds by name, and patterns."""

_TIMEOUT = 10.0
_CLIENT = "marketpipeline-topics"
_QUIET = {"log_level": 0}
"""The client speaks of a lost broker through its log; the answer to the request says the same."""
_CONNECT_TIMEOUT = 2.0
_FIXED = "cleanup.policy"
_AWAY = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
    }
)
"""What the client says where no broker was reached, whatever kept it from that."""
_REFUSED = frozenset(
    {
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
    }
)
"""Answers that stay the same however often it is asked; any other may be a broker that is not ready yet."""


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
    """Create what is missing, grow and configure what may be. Never shrinks, never deletes.

    Raises RetryableError while the broker is away, PermanentError for what it refuses.
    """
    report = TopicsReport()
    with _translated(settings):
        admin = _connect(settings)
        found = _describe(admin, [topic.name for topic in topics])
        missing = [topic for topic in topics if topic.name not in found]
        if missing:
            _create(admin, missing, report)
            found |= _described_in_time(admin, [topic.name for topic in missing])
        report.ids = {name: str(description.topic_id) for name, description in found.items()}
        existing = [topic for topic in topics if topic not in missing and topic.name in found]
        if existing:
            _grow(admin, existing, found, report)
            _configure(admin, existing, report)
    return report


def delete_topics(settings: KafkaSettings, names: Sequence[str]) -> None:
    """Remove topics; one that is absent is as it should be. Raises RetryableError or PermanentError."""
    with _translated(settings):
        admin = _connect(settings)
        futures = admin.delete_topics(list(names), operation_timeout=_TIMEOUT, request_timeout=_TIMEOUT)
        for future in futures.values():
            _result(future, unless=KafkaError.UNKNOWN_TOPIC_OR_PART)


def publish_thresholds(settings: KafkaSettings, topic: Topic, thresholds: Sequence[SymbolThresholds]) -> int:
    """Write the thresholds that differ from the newest ones in the topic, and wait until the broker has them.

    Returns how many that were. The first ones of a symbol hold since the time that they name, so that what was recorded
    before is judged by them too; a change holds from now on. Raises RetryableError or PermanentError.
    """
    with _translated(settings, f"topic {topic.name}"):
        known, now = _newest_thresholds(settings, topic), time.time_ns() // 1_000
        changed = [
            msgspec.structs.replace(record, effective_from=now) if record.symbol in known else record
            for record in thresholds
            if known.get(record.symbol) != (record.values, record.patterns)
        ]
        if changed:
            _write(settings, topic.name, changed)
    return len(changed)


def publish_events(settings: KafkaSettings, topic: str, events: Sequence[FeedEvent]) -> None:
    """Write events and wait until the broker has them. Raises RetryableError or PermanentError."""
    with _translated(settings, f"topic {topic}"):
        _write(settings, topic, events)


def _write(settings: KafkaSettings, topic: str, records: Sequence[SymbolThresholds | FeedEvent]) -> None:
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    limits = {"delivery.timeout.ms": int(_TIMEOUT * 1000)}
    producer = Producer(producer_config(settings, _CLIENT, linger_ms=0) | limits | _QUIET)
    for record in records:
        producer.produce(topic, key=record.symbol.encode(), value=encode(record), on_delivery=delivered)
    left = producer.flush(_TIMEOUT + 1)
    if failed:
        raise KafkaException(failed[0])
    if left:
        raise TimeoutError


def _newest_thresholds(settings: KafkaSettings, topic: Topic) -> dict[str, InForce]:
    """The values and patterns in force of each symbol; a record that this release cannot read is as none."""
    config = consumer_config(settings, _CLIENT, f"{topic.name}.reader") | {"enable.partition.eof": True} | _QUIET
    consumer = Consumer(config)
    newest: dict[str, InForce] = {}
    try:
        found = consumer.list_topics(topic.name, timeout=_TIMEOUT).topics[topic.name]
        if found.error is not None:
            raise KafkaException(found.error)
        consumer.assign([TopicPartition(topic.name, number, OFFSET_BEGINNING) for number in found.partitions])
        unread, deadline = len(found.partitions), time.monotonic() + _TIMEOUT
        while unread:
            message = consumer.poll(max(0.0, deadline - time.monotonic()))
            if message is None:
                raise TimeoutError
            if (error := message.error()) is None:
                _keep(newest, message.value())
            elif error.code() == KafkaError._PARTITION_EOF:
                unread -= 1
            else:
                raise KafkaException(error)
    finally:
        consumer.close()
    return newest


def _keep(newest: dict[str, InForce], value: bytes | None) -> None:
    try:
        record = decode(value or b"")
    except msgspec.MsgspecError:
        return
    if isinstance(record, SymbolThresholds):
        newest[record.symbol] = record.values, record.patterns


def _connect(settings: KafkaSettings) -> AdminClient:
    return AdminClient(client_config(settings, _CLIENT) | {"socket.connection.setup.timeout.ms": 5_000} | _QUIET)


@contextmanager
def _translated(settings: KafkaSettings, what: str = "") -> Iterator[None]:
    """What the client raises as one of the project's own errors that name the broker."""
    broker = f"broker {settings.bootstrap_servers}: {what + ': ' if what else ''}"
    try:
        yield
    except KafkaException as error:
        cause: KafkaError = error.args[0]
        if cause.code() in _AWAY:
            raise RetryableError(f"{broker}{_why_away(settings.bootstrap_servers)}") from error
        kind = PermanentError if cause.code() in _REFUSED else RetryableError
        raise kind(f"{broker}{cause.str()}") from error
    except TimeoutError as error:
        raise RetryableError(f"{broker}{_why_away(settings.bootstrap_servers)}") from error


def _why_away(servers: str) -> str:
    """Why none of the servers answers, for whoever wrote the addresses; the client only knows that it waited."""
    return "; ".join(dict.fromkeys(_why_no_answer(server.strip()) for server in servers.split(",")))


def _why_no_answer(server: str) -> str:
    host, _, port = server.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        return f"{server}: the port must be a number from 1 to 65535"
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT).close()
    except socket.gaierror:
        return f"the name {host} does not resolve"
    except TimeoutError:
        return f"{server} does not answer: no connection within {_CONNECT_TIMEOUT:g} s"
    except OSError as error:
        return f"{server} refuses connections: {error.strerror or error}"
    return f"{server} takes connections and does not answer as a Kafka broker; check broker.tls, username and password"


def _result(future: Future[Any], unless: int | None = None) -> Any:
    """What the broker answers; None for the answer `unless`."""
    try:
        return future.result(_TIMEOUT + 2)
    except KafkaException as error:
        if unless is None or error.args[0].code() != unless:
            raise
    return None


def _describe(admin: AdminClient, names: Sequence[str]) -> dict[str, Any]:
    """Topics that exist, by name."""
    futures = admin.describe_topics(TopicCollection(list(names)), request_timeout=_TIMEOUT)
    found = {name: _result(future, unless=KafkaError.UNKNOWN_TOPIC_OR_PART) for name, future in futures.items()}
    return {name: description for name, description in found.items() if description is not None}


def _described_in_time(admin: AdminClient, names: Sequence[str]) -> dict[str, Any]:
    """Topics that were created just now, all of them: a broker may answer before it knows them itself."""
    deadline = time.monotonic() + _TIMEOUT
    while len(found := _describe(admin, names)) < len(names):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)
    return found


def _create(admin: AdminClient, topics: Sequence[Topic], report: TopicsReport) -> None:
    new = [
        NewTopic(t.name, num_partitions=t.partitions, replication_factor=t.replication_factor, config=dict(t.config))
        for t in topics
    ]
    for name, future in admin.create_topics(new, operation_timeout=_TIMEOUT, request_timeout=_TIMEOUT).items():
        try:
            _result(future)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        else:
            report.created.append(name)


def _grow(admin: AdminClient, topics: Sequence[Topic], found: dict[str, Any], report: TopicsReport) -> None:
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


def _configure(admin: AdminClient, topics: Sequence[Topic], report: TopicsReport) -> None:
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
