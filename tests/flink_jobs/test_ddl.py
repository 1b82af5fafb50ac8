"""Columns from records, and the options of tables."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.records import Book, BookMetrics, Heartbeat, Record, SymbolThresholds, Trade
from marketpipeline.topics import TopicKind
from marketpipeline_job.ddl import column_type, columns, sink, source, upsert_sink

from tests.flink_jobs.examples import job_settings


@pytest.mark.parametrize(
    ("annotation", "wanted"),
    [
        (int, "BIGINT"),
        (float, "DOUBLE"),
        (str, "STRING"),
        (bool, "BOOLEAN"),
        (int | None, "BIGINT"),
        (Literal["buy", "sell"], "STRING"),
        (list[tuple[float, float]], "ARRAY<ARRAY<DOUBLE>>"),
        (dict[str, float], "MAP<STRING, DOUBLE>"),
    ],
)
def test_type_of_a_field(annotation: object, wanted: str) -> None:
    assert column_type(annotation) == wanted


@pytest.mark.parametrize("annotation", [bytes, dict[int, int], int | str, tuple[int, str]])
def test_a_field_without_a_counterpart_is_refused(annotation: object) -> None:
    with pytest.raises(TypeError, match="no SQL type"):
        column_type(annotation)


def test_a_table_of_two_records_has_the_columns_of_both() -> None:
    found = columns(Book, Heartbeat)
    assert list(found) == ["type", *Book.__struct_fields__, "process"]
    assert set(columns(Trade, Heartbeat)) == {"type", *Trade.__struct_fields__, "process"}


def test_a_sink_has_the_fields_of_its_record_in_their_order() -> None:
    assert list(columns(BookMetrics)) == ["type", *BookMetrics.__struct_fields__]


def test_columns_that_disagree_are_refused() -> None:
    class Other(Record, tag="other", frozen=True, kw_only=True):
        price: int

    with pytest.raises(TypeError, match="price"):
        columns(Trade, Other)


def test_a_password_is_where_kafka_looks_for_it() -> None:
    kafka = {"bootstrap_servers": "b:9092", "username": "job", "password": 'it\'s "so"', "tls": True}
    text = source(job_settings(kafka=kafka), TopicKind.THRESHOLDS)
    assert "'properties.security.protocol' = 'SASL_SSL'" in text
    assert 'username="job" password="it\'\'s \\"so\\"";\'' in text


def test_certificates_are_text_in_the_properties() -> None:
    kafka: dict[str, Any] = {"bootstrap_servers": "b:9092", "tls": True, "ca": "-----BEGIN CERTIFICATE-----\nAB'C\n"}
    own = {"certificate": "-----BEGIN CERTIFICATE-----\nD\n", "key": "-----BEGIN PRIVATE KEY-----\nE\n"}
    text = source(job_settings(kafka=kafka | own), TopicKind.THRESHOLDS)
    assert "'properties.ssl.truststore.certificates' = '-----BEGIN CERTIFICATE-----\nAB''C\n'" in text
    assert "'properties.ssl.keystore.key' = '-----BEGIN PRIVATE KEY-----\nE\n'" in text
    own["key"] = "-----BEGIN RSA PRIVATE KEY-----\nF\n"
    with pytest.raises(InvalidInput, match=r"kafka.key: '\*\*\*': must be a key in PKCS #8") as refused:
        source(job_settings(kafka=kafka | own), TopicKind.THRESHOLDS)
    assert "RSA" not in str(refused.value)


@pytest.mark.parametrize(
    ("mechanism", "module"), [("SCRAM-SHA-512", "scram.ScramLoginModule"), ("PLAIN", "plain.PlainLoginModule")]
)
def test_mechanisms(mechanism: str, module: str) -> None:
    kafka = {"bootstrap_servers": "b:9092", "username": "job", "password": "x", "sasl_mechanism": mechanism}
    text = source(job_settings(kafka=kafka), TopicKind.THRESHOLDS)
    assert f"'properties.sasl.mechanism' = '{mechanism}'" in text
    assert f"{module} required" in text


def test_names_and_keys() -> None:
    settings = job_settings(topic_prefix="a.b")
    assert "'topic' = 'a.b.book-metrics'" in sink(settings, TopicKind.BOOK_METRICS)
    assert "'key.fields' = 'symbol'" in sink(settings, TopicKind.ALERTS)
    text = upsert_sink(settings, TopicKind.CANDLES, flush_ms=50)
    assert "PRIMARY KEY (`symbol`, `interval`, `open_time`) NOT ENFORCED" in text
    assert columns(SymbolThresholds)["values"] == "MAP<STRING, DOUBLE>"
