"""Topics at a real broker: made, grown, set; what cannot be changed without loss is a finding."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.plan import Topic
from marketpipeline.settings import KafkaSettings
from marketpipeline.topics import TopicKind
from marketpipeline_operator.broker.admin import delete_topics, ensure_topics

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
