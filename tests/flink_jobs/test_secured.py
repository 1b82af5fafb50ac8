"""The job on a broker that asks for a user, a certificate and trust in its own authority."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from marketpipeline.topics import TopicKind

from tests.conftest import JARS, require
from tests.flink_jobs.running import RunningJob
from tests.flink_jobs.test_running import MINUTE, T0, beat, trade
from tests.support.secured_broker import PASSWORD, USER, SecuredBroker


@pytest.mark.timeout(600)
def test_it_reads_and_writes(tmp_path: Path) -> None:
    java = shutil.which("java")
    require(java, "no Java to run the broker")
    require((JARS / "kafka").is_dir(), "no Kafka jars in .cache/jars/kafka: run `make setup`")
    assert java is not None
    broker = SecuredBroker(java, JARS / "kafka", tmp_path / "broker")
    broker.start()
    kafka = {
        "bootstrap_servers": broker.sasl_tls,
        "username": USER,
        "password": PASSWORD,
        "sasl_mechanism": "SCRAM-SHA-512",
        "tls": True,
        "ca": broker.authority.certificate.read_text(),
        "certificate": broker.client.certificate.read_text(),
        "key": broker.client.key.read_text(),
    }
    job = RunningJob(broker.ipv6, "secured", tmp_path, kafka=kafka)
    try:
        job.start()
        job.send(TopicKind.TRADES, [trade("test:A", T0 + 1, 1), beat("test:A", T0 + 2 * MINUTE)])
        job.wait_rows(TopicKind.CANDLES, lambda rows: any(row.closed for row in rows), "a closed candle")
    finally:
        job.kill()
        broker.stop()
