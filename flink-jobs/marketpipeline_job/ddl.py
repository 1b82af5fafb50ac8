"""Tables over topics: columns derived from the records of the core, options from the settings.

A topic that carries several types of record is one table with the columns of all of them; `type` tells them apart.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.record_kinds import kind_in, records_in
from marketpipeline.records import Record
from marketpipeline.settings import JobSettings, KafkaSettings, SaslMechanism
from marketpipeline.topics import TopicKind, topic_name

from marketpipeline_job.sql import table

__all__ = ["BROKER_VARIABLE", "column_type", "columns", "sink", "source", "upsert_sink", "without_address"]

BROKER_VARIABLE = "MARKETPIPELINE_BROKER"
"""Where a job `without_address` finds its broker: a variable of the environment of its JVM."""

_ANY_BROKER = f"${{env:{BROKER_VARIABLE}}}"
_PROVIDER = "org.apache.flink.kafka.shaded.org.apache.kafka.common.config.provider.EnvVarConfigProvider"

_SCALARS = {int: "BIGINT", float: "DOUBLE", str: "STRING", bool: "BOOLEAN"}

_FORMAT = "plain-json"
"""Flink's `json`, quicker for records that are plain (`flink-jobs/java`, docs/decisions/0131)."""

HEADERS = "`headers` MAP<STRING, BYTES> METADATA"
"""Kafka's headers: a trace context that a record came with goes on with what was made of it.

The type is the connector's own: a cast would copy the map for every row."""


def column_type(annotation: Any) -> str:
    """The SQL type of a field. Raises TypeError for one that has no counterpart, so that a new kind is noticed."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        present = [argument for argument in arguments if argument is not type(None)]
        if len(present) == 1:
            return column_type(present[0])
    elif origin is Literal:
        return column_type(type(arguments[0]))
    elif origin is list or (origin is tuple and len(set(arguments)) == 1):
        return f"ARRAY<{column_type(arguments[0])}>"
    elif origin is dict and arguments[0] is str:
        return f"MAP<STRING, {column_type(arguments[1])}>"
    elif annotation in _SCALARS:
        return _SCALARS[annotation]
    raise TypeError(f"no SQL type for {annotation!r}")


def columns(*records: type[Record]) -> dict[str, str]:
    """Column → type of a table that holds these records; a column of the same name must have the same type."""
    found = {"type": "STRING"}
    for record in records:
        hints = get_type_hints(record)
        for name in record.__struct_fields__:
            kind = column_type(hints[name])
            if found.setdefault(name, kind) != kind:
                raise TypeError(f"column {name} is {found[name]} in one record and {kind} in {record.__name__}")
    return found


def without_address(settings: JobSettings) -> JobSettings:
    """The same job, whose tables leave it to Kafka's clients to find out where the broker is."""
    kafka = settings.kafka.model_copy(update={"bootstrap_servers": _ANY_BROKER})
    return settings.model_copy(update={"kafka": kafka})


def source(
    settings: JobSettings,
    kind: TopicKind,
    rows: Mapping[str, str] | None = None,
    read: Mapping[str, str] | None = None,
) -> str:
    """A topic that the job reads, from its beginning unless the job is restored.

    Its columns are those of its records, or `rows` where the format that is named in `read` makes others of them.

    Not from the group's offsets: without the state that belongs to them a candle would be made of its second half
    and put in the place of the whole one. What cannot be read as JSON is left out by Flink and counted
    (runtime/monitor.py).
    """
    declared = [f"`{name}` {sql_type}" for name, sql_type in (rows or columns(*records_in(kind))).items()]
    declared += [
        "`partition` INT NOT NULL METADATA VIRTUAL",
        "`offset` BIGINT NOT NULL METADATA VIRTUAL",
        *([HEADERS.replace(" METADATA", " NOT NULL METADATA VIRTUAL")] if kind is TopicKind.BOOK else []),
    ]
    values = {
        "connector": "kafka",
        "topic": topic_name(settings.topic_prefix, kind),
        **_client(settings.kafka),
        "properties.group.id": settings.consumer_group,
        "properties.client.id.prefix": f"{settings.consumer_group}.{kind.value}",
        "properties.fetch.max.wait.ms": "500",
        "properties.isolation.level": "read_committed",
        "properties.register.consumer.metrics": "false",
        "properties.partition.discovery.interval.ms": "30000",
        "scan.startup.mode": "earliest-offset",
        **(read := dict(read or {"format": _FORMAT})),
        f"{read['format']}.ignore-parse-errors": "true",
    }
    return table(_name(kind), declared, values)


def sink(settings: JobSettings, kind: TopicKind) -> str:
    """A topic that rows are appended to; the key is the symbol, as everywhere."""
    declared = [f"`{name}` {sql_type}" for name, sql_type in columns(*records_in(kind)).items()]
    if kind is TopicKind.BOOK_METRICS:
        declared.append(HEADERS)
    values = {
        "connector": "kafka",
        "topic": topic_name(settings.topic_prefix, kind),
        **_producer(settings.kafka),
        "key.format": "raw",
        "key.fields": "symbol",
        "value.format": _FORMAT,
        "value.fields-include": "ALL",
        "sink.delivery-guarantee": "at-least-once",
    }
    return table(_name(kind), declared, values)


def upsert_sink(settings: JobSettings, kind: TopicKind, *, flush_ms: int) -> str:
    """A topic where a newer row replaces an older one; of the changes within `flush_ms` only the last is sent."""
    declared = [f"`{name}` {sql_type}" for name, sql_type in columns(*records_in(kind)).items()]
    key = ", ".join(f"`{name}`" for name in kind_in(kind).key)
    declared.append(f"PRIMARY KEY ({key}) NOT ENFORCED")
    values = {
        "connector": "upsert-kafka",
        "topic": topic_name(settings.topic_prefix, kind),
        **_producer(settings.kafka),
        "key.format": "json",
        "value.format": _FORMAT,
        "value.fields-include": "ALL",
        "sink.delivery-guarantee": "at-least-once",
        "sink.buffer-flush.max-rows": "5000",
        "sink.buffer-flush.interval": f"{flush_ms} ms",
    }
    return table(_name(kind), declared, values)


def _name(kind: TopicKind) -> str:
    return kind.value.replace("-", "_")


def _producer(kafka: KafkaSettings) -> dict[str, str]:
    return {
        **_client(kafka),
        "properties.linger.ms": "5",
        "properties.batch.size": "262144",
        "properties.compression.type": "lz4",
        "properties.delivery.timeout.ms": "600000",
        "properties.register.producer.metrics": "false",
    }


_LOGIN = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security"
_LOGIN_MODULES = {
    SaslMechanism.SCRAM_SHA_256: f"{_LOGIN}.scram.ScramLoginModule",
    SaslMechanism.SCRAM_SHA_512: f"{_LOGIN}.scram.ScramLoginModule",
    SaslMechanism.PLAIN: f"{_LOGIN}.plain.PlainLoginModule",
}


def _client(kafka: KafkaSettings) -> dict[str, str]:
    protocol = "SSL" if kafka.tls else "PLAINTEXT"
    found = {"properties.bootstrap.servers": kafka.bootstrap_servers}
    if kafka.bootstrap_servers == _ANY_BROKER:
        found |= {"properties.config.providers": "env", "properties.config.providers.env.class": _PROVIDER}
    if kafka.username is not None:
        protocol = "SASL_SSL" if kafka.tls else "SASL_PLAINTEXT"
        password = kafka.password.get_secret_value() if kafka.password else ""
        mechanism = kafka.sasl_mechanism or SaslMechanism.SCRAM_SHA_256
        user, secret = (text.replace("\\", "\\\\").replace('"', '\\"') for text in (kafka.username, password))
        login = f'{_LOGIN_MODULES[mechanism]} required username="{user}" password="{secret}";'
        found |= {"properties.sasl.mechanism": mechanism.value, "properties.sasl.jaas.config": login}
    return found | _certificates(kafka) | {"properties.security.protocol": protocol}


def _certificates(kafka: KafkaSettings) -> dict[str, str]:
    """As text in the properties: the tasks run on machines that have no such file."""
    found: dict[str, str] = {}
    if kafka.ca is not None:
        found |= {"properties.ssl.truststore.type": "PEM", "properties.ssl.truststore.certificates": kafka.ca}
    if kafka.certificate is not None and kafka.key is not None:
        key = kafka.key.get_secret_value()
        if "BEGIN PRIVATE KEY" not in key and key.strip("*"):
            expected = "must be a key in PKCS #8 (BEGIN PRIVATE KEY), as Java reads it: openssl pkcs8 -topk8 -nocrypt"
            raise InvalidInput("settings", [Problem("kafka.key", "***", expected)])
        found |= {
            "properties.ssl.keystore.type": "PEM",
            "properties.ssl.keystore.certificate.chain": kafka.certificate,
            "properties.ssl.keystore.key": key,
        }
    return found
