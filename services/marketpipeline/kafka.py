"""The one place that knows how to configure clients of the broker.

Delivery: an idempotent producer with acks from all replicas, records spread by key as Java's client does it,
so that services and the stream job agree on a key's partition. Consumers commit by hand, after the store
said yes.
"""

from __future__ import annotations

from typing import Any

from marketpipeline.settings import KafkaSettings, SaslMechanism

__all__ = ["client_config", "consumer_config", "producer_config"]


def client_config(settings: KafkaSettings, client_id: str) -> dict[str, Any]:
    """What every client needs: address and credentials, in librdkafka's terms."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": client_id,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 2_000,
        "topic.metadata.refresh.interval.ms": 30_000,
    }
    protocol = "SSL" if settings.tls else "PLAINTEXT"
    if settings.username is not None:
        protocol = "SASL_SSL" if settings.tls else "SASL_PLAINTEXT"
        password = settings.password.get_secret_value() if settings.password else ""
        config |= {
            "sasl.mechanisms": (settings.sasl_mechanism or SaslMechanism.SCRAM_SHA_256).value,
            "sasl.username": settings.username,
            "sasl.password": password,
        }
    if settings.ca is not None:
        config["ssl.ca.pem"] = settings.ca
    if settings.certificate is not None and settings.key is not None:
        config |= {"ssl.certificate.pem": settings.certificate, "ssl.key.pem": settings.key.get_secret_value()}
    return config | {"security.protocol": protocol}


def producer_config(settings: KafkaSettings, client_id: str, *, linger_ms: float = 5.0) -> dict[str, Any]:
    """An idempotent producer whose queue is bounded; a full queue pushes back on the caller.

    A record is given up only after 10 minutes without a broker, so a restart of the broker loses nothing.
    """
    return client_config(settings, client_id) | {
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": linger_ms,
        "batch.size": 262_144,
        "queue.buffering.max.messages": 200_000,
        "queue.buffering.max.kbytes": 131_072,
        "delivery.timeout.ms": 600_000,
        "retry.backoff.ms": 100,
        "retry.backoff.max.ms": 1_000,
    }


def consumer_config(settings: KafkaSettings, client_id: str, group: str) -> dict[str, Any]:
    """A consumer that starts at the beginning, and commits only when told to."""
    return client_config(settings, client_id) | {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "fetch.wait.max.ms": 20,
        "fetch.queue.backoff.ms": 20,
        "queued.max.messages.kbytes": 65_536,
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 10_000,
    }
