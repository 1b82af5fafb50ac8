"""The job's Pods as in production: the operator's own objects, Flink's own processes, a broker that asks for a user, a
certificate and trust in its own authority, and checkpoints in a real S3."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.topics import TopicKind

from tests.conftest import JARS, require, wait_for
from tests.flink_jobs.pods import JobPods
from tests.flink_jobs.running import RunningJob
from tests.flink_jobs.test_running import MINUTE, T0, beat, trade
from tests.support.seaweedfs import RunningS3, s3
from tests.support.secured_broker import PASSWORD, USER, SecuredBroker

__all__ = ["s3"]

pytestmark = pytest.mark.timeout(600)
PREFIX = "secured"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[SecuredBroker]:
    java = shutil.which("java")
    require(java, "no Java to run the broker")
    require((JARS / "kafka").is_dir(), "no Kafka jars in .cache/jars/kafka: run `make setup`")
    require((JARS / "flink-s3").is_dir(), "no jar of S3 in .cache/jars/flink-s3: run `make setup-test`")
    assert java is not None
    found = SecuredBroker(java, JARS / "kafka", tmp_path / "broker")
    found.start()
    yield found
    found.stop()


@pytest.fixture
def pods(broker: SecuredBroker, s3: RunningS3, tmp_path: Path) -> Iterator[JobPods]:
    spec: dict[str, Any] = {
        "symbols": ["binance:BTCUSDT"],
        "feeds": ["trades"],
        "windows": ["1m"],
        "broker": {
            "bootstrapServers": broker.sasl_tls,
            "topicPrefix": PREFIX,
            "username": USER,
            "passwordSecret": {"name": "user"},
            "saslMechanism": "SCRAM-SHA-512",
            "tls": True,
            "caSecret": {"name": "authority"},
            "clientCertificateSecret": {"name": "client"},
        },
        "processing": {
            "mode": "standalone",
            "checkpointDirectory": f"s3://{s3.bucket()}/checkpoints",
            "checkpointInterval": "1s",
            "stateBackend": "hashmap",
            "s3": {"endpoint": s3.endpoint, "region": s3.region, "credentialsSecret": {"name": "bucket"}},
            "flinkConfiguration": {"taskmanager.memory.managed.fraction": "0.1"},
        },
    }
    secrets = {
        "bucket": {"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key},
        "user": {"password": PASSWORD},
        "authority": {"ca.crt": broker.authority.certificate.read_text()},
        "client": {"tls.crt": broker.client.certificate.read_text(), "tls.key": broker.client.key.read_text()},
    }
    found = JobPods(tmp_path, spec, secrets)
    yield found
    found.kill()


def test_lost_pods_go_on_from_their_checkpoint_in_the_bucket_and_say_no_secret(
    broker: SecuredBroker, pods: JobPods, s3: RunningS3, tmp_path: Path
) -> None:
    topics = RunningJob(broker.ipv6, PREFIX, tmp_path)  # never started: its topics only
    topics.send(TopicKind.TRADES, [beat("test:A", T0 - 1), trade("test:A", T0 + 1, 1), trade("test:A", T0 + 2, 2)])
    pods.start()
    assert pods.told()["marketpipeline.state.origin"] == "new"
    topics.wait_rows(TopicKind.CANDLES, lambda rows: any(row.trades == 2 for row in rows), "both trades")
    known = pods.checkpoints()
    wait_for(lambda: pods.checkpoints() > known + 1, "a checkpoint with both")
    assert pods.configuration("taskmanager.memory.managed.fraction") == "0.1"
    pods.kill()
    pods.start()
    told = pods.told()
    assert told["marketpipeline.state.origin"] == "restored"
    assert told["marketpipeline.state.restored-from"].startswith("s3://")
    topics.send(TopicKind.TRADES, [trade("test:A", T0 + 3, 3), beat("test:A", T0 + 2 * MINUTE)])
    topics.wait_rows(
        TopicKind.CANDLES, lambda rows: any(row.closed and row.trades == 3 for row in rows), "a candle of all three"
    )
    said = pods.log.read_text()
    assert "Completed checkpoint" in said
    private = broker.client.key.read_text().splitlines()[1]
    assert not [secret for secret in (s3.access_key, s3.secret_key, PASSWORD, private) if secret in said]
