from __future__ import annotations

from confluent_kafka import Producer
from marketpipeline.local.managed_process import State
from marketpipeline.local.view.observer import Observer, Rates
from marketpipeline.plan import plan
from marketpipeline.readers import Readers
from marketpipeline.records import encode
from marketpipeline.settings import KafkaSettings
from marketpipeline.spec import load_object
from marketpipeline.topic_admin import ensure_topics
from marketpipeline.topics import TopicKind

from tests.services.local.view.samples import managed
from tests.services.sinks.samples import late_trade
from tests.support.broker import RunningBroker


def test_rates_are_over_the_last_seconds() -> None:
    rates = Rates(span=5.0)
    for second in range(20):
        rates.note("ingestion", {"frames": second * second, "connected": True, "status": "ok"}, float(second))
    rate = rates.of("ingestion", "frames")
    assert rate is not None
    assert 30 <= rate <= 35
    assert rates.of("ingestion", "connected") is None
    assert rates.of("ingestion", "absent") is None
    assert rates.of("nobody", "frames") is None


def test_a_restarted_counter_is_no_negative_rate() -> None:
    rates = Rates()
    rates.note("x", {"frames": 1_000}, 0.0)
    rates.note("x", {"frames": 3}, 2.0)
    assert rates.of("x", "frames") == 0.0


async def test_late_trades_of_this_run_are_counted_however_many_there_are(broker: RunningBroker) -> None:
    spec = {"symbols": ["binance:BTCUSDT"], "broker": {"topicPrefix": broker.prefix()}}
    head = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "crypto"}}
    planned, kafka = plan(load_object(head | {"spec": spec})), KafkaSettings(bootstrap_servers=broker.address)
    ensure_topics(kafka, planned.topics)
    topic = planned.topic(TopicKind.LATE)
    assert topic is not None
    producer = Producer({"bootstrap.servers": broker.address})

    def put(count: int) -> None:
        for number in range(count):
            producer.produce(topic.name, encode(late_trade(number)), partition=number % topic.partitions)
        assert producer.flush(10) == 0

    observer, processes = Observer(planned, kafka, Readers([], []), []), {"broker": managed("broker", State.READY)}
    put(4)
    await observer.open()
    try:
        await observer.look([], processes)
        assert observer.late_trades == 0, "an earlier run left these"
        put(11)
        await observer.look([], processes)
        assert observer.late_trades == 11
    finally:
        await observer.close()
