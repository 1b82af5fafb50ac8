"""Topics and thresholds on the way up of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from marketpipeline.errors import PermanentError
from marketpipeline.local.options import RunOptions
from marketpipeline.local.prerequisites import Java
from marketpipeline.local.stack import assemble
from marketpipeline.local.state import StateFolder
from marketpipeline.local.steps import steps_of
from marketpipeline.local.supervisor import Step
from marketpipeline.plan import Plan, plan
from marketpipeline.settings import KafkaSettings
from marketpipeline.settings.local import LocalSettings
from marketpipeline.spec import load_object
from marketpipeline.topic_admin import publish_thresholds
from marketpipeline.topics import TopicKind

from tests.support.broker import RunningBroker

HEAD = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "crypto"}}


@pytest.fixture
def made(broker: RunningBroker, tmp_path: Path) -> Iterator[tuple[Plan, Step, KafkaSettings]]:
    """A plan on topics of its own, the step that makes them, and where."""
    spec = {"symbols": ["binance:BTCUSDT"], "broker": {"topicPrefix": broker.prefix(), "partitions": 1}}
    pipeline = load_object(HEAD | {"spec": spec})
    state = StateFolder.open(tmp_path / "state", "crypto", "simulated")
    places = LocalSettings(kafka_jars=Path("/jars"), flink_python=Path("/flink/bin/python"))
    java = Java(program="/java/bin/java", home="/java", version=17)
    stack = assemble(pipeline, plan(pipeline), RunOptions(), state, places, java)
    kafka = KafkaSettings(bootstrap_servers=broker.address)
    step, *_ = steps_of(pipeline, plan(pipeline), replace(stack, kafka=kafka))
    yield plan(pipeline), step, kafka
    state.close()


def test_the_thresholds_are_there_when_the_topics_are(made: tuple[Plan, Step, KafkaSettings]) -> None:
    planned, step, kafka = made
    step.run()
    step.run()
    topic = planned.topic(TopicKind.THRESHOLDS)
    assert topic is not None
    assert publish_thresholds(kafka, topic, planned.thresholds) == 0


def test_a_topic_that_would_lose_records_is_refused(made: tuple[Plan, Step, KafkaSettings]) -> None:
    planned, step, kafka = made
    topic = planned.topic(TopicKind.TRADES)
    assert topic is not None
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    other = NewTopic(topic.name, 1, 1, config={"cleanup.policy": "compact"})
    admin.create_topics([other])[topic.name].result(10)
    with pytest.raises(PermanentError, match=rf"topic {topic.name} has cleanup\.policy=compact, this pipeline needs"):
        step.run()
