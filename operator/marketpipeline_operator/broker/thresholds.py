"""Thresholds: one record for each symbol, into the compacted thresholds topic, which the running job reads."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from marketpipeline.errors import RetryableError
from marketpipeline.kafka import producer_config
from marketpipeline.records import SymbolThresholds, encode
from marketpipeline.settings import KafkaSettings

from marketpipeline_operator.broker.admin import translate

__all__ = ["publish_thresholds"]

_TIMEOUT = 15.0


def publish_thresholds(
    settings: KafkaSettings, topic: str, thresholds: Sequence[SymbolThresholds], *, first: bool
) -> None:
    """Write them all and wait until the broker has them. Blocks. Raises RetryableError or PermanentError.

    The first ones of a pipeline hold from the beginning of time, so that what was recorded before is judged by them
    too; later ones from now on.
    """
    since = 0 if first else time.time_ns() // 1_000
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    limits = {"delivery.timeout.ms": int(_TIMEOUT * 1000), "log_level": 0}
    producer = Producer(producer_config(settings, "marketpipeline-operator", linger_ms=0) | limits)
    for record in thresholds:
        record = msgspec.structs.replace(record, effective_from=since)
        producer.produce(topic, key=record.symbol.encode(), value=encode(record), on_delivery=delivered)
    left = producer.flush(_TIMEOUT + 1)
    if failed:
        raise translate(KafkaException(failed[0]), settings, f"topic {topic}")
    if left:
        raise RetryableError(f"broker {settings.bootstrap_servers} did not take the thresholds in {_TIMEOUT:g} s")
