"""The broker of one machine: it starts, keeps what it acknowledged over a kill, and says when it is not ready."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from marketpipeline.kafka import client_config, consumer_config, producer_config
from marketpipeline.local.component import NotReady
from marketpipeline.local.components.broker import Broker
from marketpipeline.settings import KafkaSettings

from tests.conftest import free_port
from tests.support.broker import RunningBroker


def test_acknowledged_records_survive_a_kill(broker: RunningBroker) -> None:
    settings = KafkaSettings(bootstrap_servers=broker.address)
    topic = f"{broker.prefix()}.trades"
    admin = AdminClient(client_config(settings, "test"))
    admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])[topic].result(30)
    producer = Producer(producer_config(settings, "test"))
    for number in range(100):
        producer.produce(topic, key=b"k", value=str(number).encode())
    assert producer.flush(30) == 0

    broker.kill()
    broker.start()

    for number in range(100, 120):
        producer.produce(topic, key=b"k", value=str(number).encode())
    assert producer.flush(60) == 0
    consumer = Consumer(consumer_config(settings, "test", f"{topic}.group"))
    consumer.subscribe([topic])
    values: list[int] = []
    while len(values) < 120 and (message := consumer.poll(30)) is not None:
        assert message.error() is None
        value = message.value()
        assert value is not None
        values.append(int(value))
    consumer.close()
    assert values == list(range(120))


def test_not_ready_while_nobody_listens(tmp_path: Path) -> None:
    component = Broker(
        java="java", jars=tmp_path, folder=tmp_path / "kafka", port=free_port(), controller_port=free_port()
    )
    with pytest.raises(NotReady, match=f"no answer from 127.0.0.1:{component.port}"):
        component.check()


def test_a_folder_is_formatted_once(tmp_path: Path) -> None:
    component = Broker(java="java", jars=tmp_path, folder=tmp_path / "kafka", port=1, controller_port=2)
    half = tmp_path / "kafka" / "data" / "meta.properties"
    half.parent.mkdir(parents=True)
    half.write_text("version=1\n")
    first, second = component.prepare()
    assert "format" in first.arguments
    assert not half.exists(), "what was cut short is made again"
    subprocess.run(second.arguments, check=True, cwd=second.directory)
    assert component.prepare() == ()
