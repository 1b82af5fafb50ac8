"""The servers that a pipeline on the cluster uses, as Pods: each one answers another Pod by its Service's name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cluster.image import COMPONENTS, KAFKA, STORES, Image
from tests.cluster.kubectl import Kubectl
from tests.cluster.stack import apply_stack, run_python

CLIENT = {image.name: image for image in COMPONENTS}


@pytest.fixture(scope="module")
def stack(kubectl: Kubectl, built: Callable[..., None]) -> Kubectl:
    built(KAFKA, STORES, CLIENT["sink-timescale"], CLIENT["sink-redis"])
    apply_stack(kubectl)
    return kubectl


def client(kubectl: Kubectl, image: Image, program: str) -> str:
    return run_python(kubectl, image, program, secrets={"POSTGRESQL": "postgresql", "VALKEY": "valkey"})


def test_the_broker_takes_and_gives_records_by_its_service_name(stack: Kubectl) -> None:
    printed = client(
        stack,
        CLIENT["sink-timescale"],
        """
        from confluent_kafka import Consumer, Producer
        from confluent_kafka.admin import AdminClient, NewTopic
        broker = {"bootstrap.servers": "kafka:9092"}
        admin = AdminClient(broker)
        admin.create_topics([NewTopic("t", 1, 1)])["t"].result(30)
        producer = Producer({**broker, "enable.idempotence": True})
        producer.produce("t", b"value", key=b"key")
        assert producer.flush(30) == 0
        consumer = Consumer({**broker, "group.id": "g", "auto.offset.reset": "earliest"})
        consumer.subscribe(["t"])
        record = consumer.poll(30)
        print(record.key(), record.value(), record.offset())
        consumer.close()
        """,
    )
    assert printed.splitlines()[-1] == "b'key' b'value' 0"


def test_the_database_has_the_pipelines_role_and_asks_for_its_password(stack: Kubectl) -> None:
    printed = client(
        stack,
        CLIENT["sink-timescale"],
        """
        import os, psycopg
        url = "postgresql://marketpipeline:{}@postgresql/marketpipeline"
        with psycopg.connect(url.format(os.environ["POSTGRESQL"])) as connection:
            query = "SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user"
            print(*connection.execute(query).fetchone())
        try:
            psycopg.connect(url.format("wrong"))
        except psycopg.OperationalError as error:
            print("password authentication failed" in str(error))
        """,
    )
    assert printed == "marketpipeline False\nTrue"


def test_valkey_asks_for_its_password(stack: Kubectl) -> None:
    printed = client(
        stack,
        CLIENT["sink-redis"],
        """
        import os, redis
        server = redis.Redis("valkey", password=os.environ["VALKEY"])
        print(server.set("a", 1), server.get("a"))
        try:
            redis.Redis("valkey").get("a")
        except redis.AuthenticationError as error:
            print("refused")
        """,
    )
    assert printed == "True b'1'\nrefused"
