"""Records into a real broker: the partition, the bytes, traces, and what happens to those that cannot be delivered."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.ingestion import publisher as module
from marketpipeline.ingestion.partition import partition_of
from marketpipeline.ingestion.publisher import KafkaPublisher
from marketpipeline.kafka import producer_config
from marketpipeline.records import DeadLetter, Trade, decode, encode
from marketpipeline.settings import KafkaSettings
from marketpipeline.telemetry import Tracing
from marketpipeline.topics import TopicKind, topic_name
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.conftest import free_port, wait_for
from tests.services.ingestion.processes import PARTITIONS, Processes
from tests.services.ingestion.recorders import SYMBOL, trade

KINDS = [TopicKind.TRADES, TopicKind.DEAD_LETTERS]


def publisher(processes: Processes, tracing: Tracing | None = None) -> KafkaPublisher:
    made = KafkaPublisher(KafkaSettings(bootstrap_servers=processes.broker.address), processes.prefix, "test", tracing)
    made.connect(KINDS)
    return made


def messages(processes: Processes, kind: TopicKind) -> list[Any]:
    consumer: Any = Consumer({"bootstrap.servers": processes.broker.address, "group.id": "test"})
    places = [TopicPartition(topic_name(processes.prefix, kind), partition, 0) for partition in range(PARTITIONS)]
    ends = {place.partition: wait_for(partial(_end, consumer, place), "the end")[0] for place in places}
    consumer.assign(places)
    found: list[Any] = []
    while len(found) < sum(ends.values()):
        found += consumer.consume(1, timeout=10)
    consumer.close()
    return found


def _end(consumer: Any, place: TopicPartition) -> tuple[int] | None:
    """The end of a partition; None while one that was made this moment has no leader yet."""
    try:
        return (consumer.get_watermark_offsets(place, timeout=10)[1],)
    except KafkaException:
        return None


def test_a_record_is_what_the_core_encodes_keyed_by_symbol(processes: Processes) -> None:
    made = publisher(processes)
    made.writer(TopicKind.TRADES, SYMBOL)(trade(1))
    assert made.flush(10) == 0
    (message,) = messages(processes, TopicKind.TRADES)
    assert (message.key(), message.value(), message.headers()) == (SYMBOL.encode(), encode(trade(1)), None)
    assert made.produced()[TopicKind.TRADES] == 1
    assert made.in_flight == 0


def test_partitions_are_those_of_the_librarys_own_partitioner(processes: Processes) -> None:
    config = producer_config(KafkaSettings(bootstrap_servers=processes.broker.address), "test")
    theirs: dict[bytes, int] = {}
    client: Any = Producer(config)
    for number in range(50):
        key = f"exchange:S{number}USDT".encode()
        client.produce(
            topic_name(processes.prefix, TopicKind.TRADES), b"x", key,
            on_delivery=lambda error, message: theirs.update({message.key(): message.partition()}),
        )  # fmt: skip
    client.flush(10)
    assert len(theirs) == 50
    assert theirs == {key: partition_of(key, PARTITIONS) for key in theirs}


def test_a_missing_topic_and_a_missing_broker_are_retryable(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = KafkaSettings(bootstrap_servers=processes.broker.address)
    with pytest.raises(RetryableError, match=r"no topic nothing\.dead-letters, nothing\.trades"):
        KafkaPublisher(kafka, "nothing", "test").connect(KINDS)
    monkeypatch.setattr(module, "METADATA_SECONDS", 0.5)
    with pytest.raises(RetryableError, match="no broker"):
        KafkaPublisher(KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}"), "any", "test").connect(KINDS)


def test_a_full_queue_holds_records_in_order_and_presses(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    def small(settings: KafkaSettings, client_id: str) -> dict[str, Any]:
        return producer_config(settings, client_id) | {"queue.buffering.max.messages": 50, "linger.ms": 200}

    monkeypatch.setattr(module, "producer_config", small)
    made = publisher(processes)
    publish = made.writer(TopicKind.TRADES, SYMBOL)
    for number in range(500):
        publish(trade(number))
    assert made.overflow, "the client's queue was larger than was asked for"
    assert made.in_flight == 500
    assert made.pressed(False)
    assert made.flush(20) == 0
    assert not made.pressed(True)
    assert [message.value() for message in messages(processes, TopicKind.TRADES)] == [
        encode(trade(n)) for n in range(500)
    ]


def large(payload: str, error: str = "no number") -> DeadLetter:
    return DeadLetter(symbol="", payload=payload, encoding="utf-8", error=error, source="test", ingestion_time=1)


@pytest.mark.parametrize("way", ["at once", "traced", "after others"])
def test_a_dead_letter_that_is_too_large_is_cut_and_says_so(processes: Processes, way: str) -> None:
    spans = SimpleSpanProcessor(InMemorySpanExporter())
    made = publisher(processes, Tracing(Resource.create({}), 1.0, None, spans) if way == "traced" else None)
    publish = made.writer(TopicKind.DEAD_LETTERS, "")
    letter = large("\0" * 1_500_000)
    if way == "after others":
        topic = topic_name(processes.prefix, TopicKind.DEAD_LETTERS)
        made.overflow.append((topic, encode(large("before")), b"", 0))
    publish(letter)
    assert made.flush(20) == 0
    (found,) = [
        body for message in messages(processes, TopicKind.DEAD_LETTERS)
        if isinstance(body := decode(message.value()), DeadLetter) and body.payload != "before"
    ]  # fmt: skip
    assert found.payload == "\0" * 100_000
    assert found.error == "no number (payload cut to 100000 of 1500000 characters)"
    assert (made.undelivered, made.failure, made.produced()[TopicKind.DEAD_LETTERS]) == (0, None, 1)


def test_a_dead_letter_that_is_too_large_even_when_cut_is_counted_and_nothing_else(processes: Processes) -> None:
    made = publisher(processes)
    made.writer(TopicKind.DEAD_LETTERS, "")(large("x" * 2_000_000, error="e" * 2_000_000))
    assert made.flush(10) == 0
    assert (made.undelivered, made.failure) == (1, None)


def failure(made: KafkaPublisher) -> PermanentError | None:
    """What it failed with, as far as the client has told it by now."""
    made.poll()
    return made.failure


def test_a_lost_record_of_data_is_a_failure(processes: Processes) -> None:
    made = publisher(processes)
    made.writer(TopicKind.TRADES, SYMBOL)(_oversized())
    wait_for(lambda: failure(made), "the failure", seconds=10)
    assert "was not delivered" in str(made.failure)


def test_a_delivery_that_fails_later_is_seen(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    def impatient(settings: KafkaSettings, client_id: str) -> dict[str, Any]:
        config = producer_config(settings, client_id) | {"delivery.timeout.ms": 500}
        return config | {"enable.idempotence": False, "request.timeout.ms": 500}

    monkeypatch.setattr(module, "producer_config", impatient)
    made = publisher(processes)
    processes.broker.kill()
    try:
        made.writer(TopicKind.TRADES, SYMBOL)(trade(1))
        wait_for(lambda: failure(made), "the failure", seconds=60)
    finally:
        processes.broker.start()
    assert made.undelivered == 1


def test_a_sampled_share_of_records_carries_a_trace(processes: Processes) -> None:
    spans = InMemorySpanExporter()
    tracing = Tracing(Resource.create({}), 0.1, None, SimpleSpanProcessor(spans))
    made = publisher(processes, tracing)
    publish = made.writer(TopicKind.TRADES, SYMBOL)
    for number in range(100):
        publish(trade(number))
    assert made.flush(10) == 0
    found = messages(processes, TopicKind.TRADES)
    traced = [dict(message.headers())["traceparent"] for message in found if message.headers()]
    assert len(found) == 100
    assert len(traced) == len(spans.get_finished_spans()) == 10
    span = spans.get_finished_spans()[0]
    context = span.get_span_context()
    assert context is not None
    assert f"{context.trace_id:032x}-{context.span_id:016x}" in {header.decode()[3:-3] for header in traced}


def _oversized() -> Trade:
    """A record beyond what a message may hold; no real one is."""
    whole = trade(1)
    return Trade(
        symbol=SYMBOL, event_time=1, trade_time=1, receive_time=1, trade_id=whole.trade_id, price=1.0, quantity=1.0,
        taker_side="x" * 2_000_000,  # type: ignore[arg-type]
    )  # fmt: skip
