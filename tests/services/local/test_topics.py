"""Topics and thresholds on a real broker: made, grown and changed, never shrunk; thresholds published when changed."""

from __future__ import annotations

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.kafka import client_config, consumer_config
from marketpipeline.local.topics import ensure_topics, publish_thresholds
from marketpipeline.plan import Topic
from marketpipeline.records import SymbolThresholds, decode
from marketpipeline.settings import KafkaSettings
from marketpipeline.topics import TopicKind

from tests.conftest import free_port, wait_for
from tests.support.broker import RunningBroker

RULE = SymbolThresholds(
    symbol="x:A",
    effective_from=0,
    values={
        "imbalance_medium": 0.5,
        "imbalance_high": 0.7,
        "spread_widening": 2.0,
        "price_spike": 0.02,
        "whale_trade": 1e5,
        "volume_spike": 1e6,
    },
)


@pytest.fixture
def settings(broker: RunningBroker) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=broker.address)


def topic(name: str, partitions: int = 1, config: dict[str, str] | None = None) -> Topic:
    return Topic(name=name, kind=TopicKind.THRESHOLDS, partitions=partitions, replication_factor=1, config=config or {})


def stored(settings: KafkaSettings, name: str) -> list[SymbolThresholds]:
    consumer = Consumer(consumer_config(settings, "test", f"{name}.test"))
    _, end = consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=10)
    consumer.assign([TopicPartition(name, 0, 0)])
    found: list[SymbolThresholds] = []
    while len(found) < end and (message := consumer.poll(10)) is not None:
        record = decode(message.value() or b"")
        assert isinstance(record, SymbolThresholds)
        assert message.key() == record.symbol.encode()
        found.append(record)
    consumer.close()
    return found


def test_topics_are_made_grown_and_set(broker: RunningBroker, settings: KafkaSettings) -> None:
    admin = AdminClient(client_config(settings, "test"))
    name = f"{broker.prefix()}.trades"

    def config(key: str) -> str:
        (done,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name)]).values()
        return str(done.result(10)[key].value)

    ensure_topics(settings, [topic(name, 2, config={"retention.ms": "1000000"})])
    assert len(admin.list_topics(name, timeout=10).topics[name].partitions) == 2
    assert config("retention.ms") == "1000000"
    ensure_topics(settings, [topic(name, 4, config={"retention.ms": "2000000"}), topic(f"{name}2")])
    assert len(admin.list_topics(name, timeout=10).topics[name].partitions) == 4
    wait_for(lambda: config("retention.ms") == "2000000", "the broker goes by the new retention")
    ensure_topics(settings, [topic(name, 1)])
    assert len(admin.list_topics(name, timeout=10).topics[name].partitions) == 4


def test_what_the_broker_refuses(broker: RunningBroker, settings: KafkaSettings) -> None:
    with pytest.raises(PermanentError, match=r"retention\.ms"):
        ensure_topics(settings, [topic(f"{broker.prefix()}.x", config={"retention.ms": "soon"})])


def test_a_broker_that_is_away() -> None:
    away = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    with pytest.raises(RetryableError):
        ensure_topics(away, [topic("x")])


def test_thresholds_are_written_when_they_change(broker: RunningBroker, settings: KafkaSettings) -> None:
    thresholds = topic(f"{broker.prefix()}.thresholds", config={"cleanup.policy": "compact"})
    other = msgspec.structs.replace(RULE, symbol="x:B")
    ensure_topics(settings, [thresholds])
    assert publish_thresholds(settings, thresholds, [RULE, other]) == 2
    assert publish_thresholds(settings, thresholds, [RULE, other]) == 0
    changed = msgspec.structs.replace(RULE, values=RULE.values | {"whale_trade": 5.0})
    assert publish_thresholds(settings, thresholds, [changed, other]) == 1
    first, second, third = stored(settings, thresholds.name)
    assert (first, second) == (RULE, other)
    assert third.effective_from > 0
    assert msgspec.structs.replace(third, effective_from=0) == changed
    assert publish_thresholds(settings, thresholds, [changed, other]) == 0
    assert publish_thresholds(settings, thresholds, [RULE, other]) == 1, "back to the first is a change too"
