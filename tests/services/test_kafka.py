"""Clients of a real broker, whatever it asks for: an address of IPv6, a mechanism, an authority, a certificate."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from marketpipeline.kafka import client_config, consumer_config, producer_config
from marketpipeline.settings import KafkaSettings

from tests.conftest import JARS, require
from tests.support.certificates import Authority
from tests.support.secured_broker import PASSWORD, USER, SecuredBroker

pytestmark = pytest.mark.timeout(180)

MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    java = shutil.which("java")
    require(java, "no Java to run the broker")
    require((JARS / "kafka").is_dir(), "no Kafka jars in .cache/jars/kafka: run `make setup`")
    assert java is not None
    running = SecuredBroker(java, JARS / "kafka", tmp_path_factory.mktemp("secured"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


def there_and_back(settings: KafkaSettings) -> bytes | None:
    """Write a record and read it again with the clients of every process."""
    topic = f"test-{uuid.uuid4().hex[:12]}"
    admin = AdminClient(client_config(settings, "test"))
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    producer = Producer(producer_config(settings, "test"))
    producer.produce(topic, b"value")
    assert producer.flush(30) == 0
    consumer = Consumer(consumer_config(settings, "test", topic))
    try:
        consumer.subscribe([topic])
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        return message.value()
    finally:
        consumer.close()


def refused(settings: KafkaSettings) -> str:
    """What a client says that is not let in."""
    said: list[str] = []
    config = client_config(settings, "test") | {"error_cb": lambda error: said.append(str(error)), "log_level": 0}
    admin = AdminClient(config)
    with pytest.raises(KafkaException):
        admin.list_topics(timeout=5)
    admin.poll(1)
    return " ".join(said)


def test_over_ipv6(secured: SecuredBroker) -> None:
    assert there_and_back(KafkaSettings(bootstrap_servers=secured.ipv6)) == b"value"


@pytest.mark.parametrize("mechanism", [None, *MECHANISMS])
@pytest.mark.parametrize("tls", [False, True])
def test_sasl(secured: SecuredBroker, mechanism: str | None, tls: bool) -> None:
    settings: dict[str, Any] = {
        "bootstrap_servers": secured.sasl_tls if tls else secured.sasl,
        "username": "alice" if mechanism == "PLAIN" else USER,
        "password": PASSWORD,
        "sasl_mechanism": mechanism,
        "tls": tls,
        "ca": secured.authority.certificate.read_text() if tls else None,
    }
    assert there_and_back(KafkaSettings.model_validate(settings)) == b"value"
    if mechanism == "SCRAM-SHA-512":
        assert "Authentication failed" in refused(KafkaSettings.model_validate(settings | {"password": "other"}))


def test_a_certificate_of_the_client(secured: SecuredBroker) -> None:
    plain = {"bootstrap_servers": secured.tls, "tls": True, "ca": secured.authority.certificate.read_text()}
    own = {"certificate": secured.client.certificate.read_text(), "key": secured.client.key.read_text()}
    assert there_and_back(KafkaSettings.model_validate(plain | own)) == b"value"
    assert refused(KafkaSettings.model_validate(plain)), "without one"


def test_an_authority_that_is_not_the_brokers(secured: SecuredBroker, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = Authority(tmp_path_factory.mktemp("other")).certificate.read_text()
    base = {"bootstrap_servers": secured.sasl_tls, "tls": True, "username": USER, "password": PASSWORD}
    for ca in (other, None):
        assert "certificate verify failed" in refused(KafkaSettings.model_validate(base | {"ca": ca}))
