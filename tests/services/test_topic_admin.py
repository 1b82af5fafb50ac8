"""Topics and thresholds at a real broker: made, grown and set, never shrunk; thresholds published when they changed."""

from __future__ import annotations

import socket

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic
from marketpipeline import topic_admin
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.kafka import consumer_config
from marketpipeline.plan import Topic
from marketpipeline.records import SymbolThresholds, decode
from marketpipeline.settings import KafkaSettings
from marketpipeline.topic_admin import delete_topics, ensure_topics, publish_thresholds
from marketpipeline.topics import TopicKind

from tests.conftest import wait_for
from tests.support.broker import RunningBroker


@pytest.fixture
def settings(broker: RunningBroker) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=broker.address)


def topic(name: str, partitions: int = 2, copies: int = 1, **config: str) -> Topic:
    wanted = {"cleanup.policy": "delete", "retention.ms": "60000"} | {k.replace("_", "."): v for k, v in config.items()}
    return Topic(name=name, kind=TopicKind.TRADES, partitions=partitions, replication_factor=copies, config=wanted)


def partitions(settings: KafkaSettings, name: str) -> int:
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    return len(admin.list_topics(timeout=10).topics[name].partitions)


def test_topics_are_made_once_and_grow_and_follow_their_retention(
    settings: KafkaSettings, broker: RunningBroker
) -> None:
    name = f"{broker.prefix()}.trades"
    first = ensure_topics(settings, [topic(name)])
    assert first.created == [name]
    assert not first.changed
    again = ensure_topics(settings, [topic(name)])
    assert (again.created, again.changed, again.kept, again.mismatches) == ([], [], [], [])
    assert again.ids == first.ids
    grown = ensure_topics(settings, [topic(name, 4, retention_ms="120000")])
    assert set(grown.changed) == {f"{name} partitions", f"{name} retention.ms=120000"}
    assert partitions(settings, name) == 4
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})

    def retention() -> str:
        (done,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name)]).values()
        return str(done.result(10)["retention.ms"].value)

    wait_for(lambda: retention() == "120000", "the broker goes by the new retention")


def test_what_cannot_be_changed_is_said_and_left(settings: KafkaSettings, broker: RunningBroker) -> None:
    prefix = broker.prefix()
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    other = [NewTopic(f"{prefix}.a", 6, 1), NewTopic(f"{prefix}.b", 2, 1, config={"cleanup.policy": "compact"})]
    for future in admin.create_topics(other).values():
        future.result(10)
    report = ensure_topics(settings, [topic(f"{prefix}.a"), topic(f"{prefix}.b"), topic(f"{prefix}.c")])
    assert report.created == [f"{prefix}.c"]
    assert report.kept == [
        f"topic {prefix}.a has 6 partitions and keeps them, the spec says 2: partitions never shrink, "
        "set broker.partitions to 6"
    ]
    assert len(report.mismatches) == 1
    assert "cleanup.policy=compact, this pipeline needs delete" in report.mismatches[0]
    assert partitions(settings, f"{prefix}.a") == 6


def test_a_replication_factor_that_the_broker_cannot_give_is_permanent(
    settings: KafkaSettings, broker: RunningBroker
) -> None:
    with pytest.raises(PermanentError, match=r"(?i)replication"):
        ensure_topics(settings, [topic(f"{broker.prefix()}.x", copies=3)])


def test_a_broker_that_is_away_may_come_back() -> None:
    with pytest.raises(RetryableError, match=r"127\.0\.0\.1:1"):
        ensure_topics(KafkaSettings(bootstrap_servers="127.0.0.1:1"), [topic("x")])


def test_removing_topics_twice_is_no_error(settings: KafkaSettings, broker: RunningBroker) -> None:
    name = f"{broker.prefix()}.trades"
    ensure_topics(settings, [topic(name)])
    delete_topics(settings, [name])
    delete_topics(settings, [name])


def test_a_setting_that_the_broker_refuses_is_permanent(settings: KafkaSettings, broker: RunningBroker) -> None:
    with pytest.raises(PermanentError, match=r"retention\.ms"):
        ensure_topics(settings, [topic(f"{broker.prefix()}.x", retention_ms="soon")])


THRESHOLDS = SymbolThresholds(symbol="x:A", effective_from=0, values={"imbalance_medium": 0.5, "whale_trade": 1e5})


@pytest.fixture
def thresholds(settings: KafkaSettings, broker: RunningBroker) -> Topic:
    made = topic(f"{broker.prefix()}.thresholds", 1, cleanup_policy="compact")
    ensure_topics(settings, [made])
    return made


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


def test_thresholds_are_written_when_they_change(settings: KafkaSettings, thresholds: Topic) -> None:
    other = msgspec.structs.replace(THRESHOLDS, symbol="x:B")
    assert publish_thresholds(settings, thresholds, [THRESHOLDS, other]) == 2
    assert publish_thresholds(settings, thresholds, [THRESHOLDS, other]) == 0
    changed = msgspec.structs.replace(THRESHOLDS, values=THRESHOLDS.values | {"whale_trade": 5.0})
    assert publish_thresholds(settings, thresholds, [changed, other]) == 1
    first, second, third = stored(settings, thresholds.name)
    assert (first, second) == (THRESHOLDS, other), "the first ones hold for what was recorded before, too"
    assert third.effective_from > 0
    assert msgspec.structs.replace(third, effective_from=0) == changed
    assert publish_thresholds(settings, thresholds, [changed, other]) == 0
    assert publish_thresholds(settings, thresholds, [THRESHOLDS, other]) == 1, "back to the first is a change too"


def test_a_threshold_of_a_new_alert_is_a_change(settings: KafkaSettings, thresholds: Topic) -> None:
    publish_thresholds(settings, thresholds, [THRESHOLDS])
    more = msgspec.structs.replace(THRESHOLDS, values=THRESHOLDS.values | {"of_a_new_alert": 1.0})
    assert publish_thresholds(settings, thresholds, [more]) == 1
    assert stored(settings, thresholds.name)[-1].values == more.values


def test_what_cannot_be_read_in_the_topic_is_no_obstacle(settings: KafkaSettings, thresholds: Topic) -> None:
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers})
    for value in (b"{", b'{"type":"thresholds","v":1,"symbol":"x:A","effective_from":0,"whale_trade":5.0}'):
        producer.produce(thresholds.name, key=b"x:A", value=value)
    producer.produce(thresholds.name, key=b"x:A", value=None)
    assert producer.flush(10) == 0
    assert publish_thresholds(settings, thresholds, [THRESHOLDS]) == 1
    assert publish_thresholds(settings, thresholds, [THRESHOLDS]) == 0


def test_thresholds_that_the_broker_rejects_are_not_taken_for_published(
    settings: KafkaSettings, broker: RunningBroker
) -> None:
    tight = topic(f"{broker.prefix()}.thresholds", 1, cleanup_policy="compact", max_message_bytes="80")
    ensure_topics(settings, [tight])
    with pytest.raises(PermanentError, match=rf"topic {tight.name}: .*(?i:too large)"):
        publish_thresholds(settings, tight, [THRESHOLDS])
    assert stored(settings, tight.name) == []


def test_thresholds_have_to_have_a_topic(settings: KafkaSettings, broker: RunningBroker) -> None:
    with pytest.raises(RetryableError, match=r"(?i)unknown topic"):
        publish_thresholds(settings, topic(f"{broker.prefix()}.thresholds", 1), [THRESHOLDS])


@pytest.mark.parametrize(
    ("server", "why"),
    [
        ("broker.invalid:9092", "the name broker.invalid does not resolve"),
        ("127.0.0.1:1", "127.0.0.1:1 refuses connections: Connection refused"),
        ("127.0.0.1:99999", "127.0.0.1:99999: the port must be a number from 1 to 65535"),
    ],
)
def test_a_broker_that_is_not_reached_is_told_with_the_reason(
    server: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_admin, "_TIMEOUT", 1.0)
    with pytest.raises(RetryableError) as away:
        ensure_topics(KafkaSettings(bootstrap_servers=server), [topic("trades")])
    assert str(away.value) == f"broker {server}: {why}"


def test_what_answers_and_is_not_a_broker_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_admin, "_TIMEOUT", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RetryableError, match=r"does not answer as a Kafka broker; check broker\.tls"):
            ensure_topics(KafkaSettings(bootstrap_servers=server), [topic("trades")])
