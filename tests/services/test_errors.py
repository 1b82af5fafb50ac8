"""No password gets into a text, and nothing else is lost from it."""

from __future__ import annotations

import pytest
from marketpipeline.errors import Problem, without_passwords


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://u:pa:ss@h:6379/0", "redis://u:***@h:6379/0"),
        ("redis://u:s3cret/x@h", "redis://u:***@h"),
        ("redis://:s3?c#ret@h", "redis://:***@h"),
        ("postgresql://u:a@b@h/d and redis://v:c@h", "postgresql://u:***@h/d and redis://v:***@h"),
        ("'postgresql://u:x@h/d'", "'postgresql://u:***@h/d'"),
        ("postgresql://u@h/d?password=x&sslmode=require", "postgresql://u@h/d?password=***&sslmode=require"),
        ("postgresql://u:ge'heim@h/x", "postgresql://u:***@h/x"),
        ('postgresql://u:ge"heim@h/x', "postgresql://u:***@h/x"),
        (repr("postgresql://u:a'b\"c@h/x"), "'postgresql://u:***@h/x'"),
        ("postgresql://u:a@b://c@h/x", "postgresql://u:***@h/x"),
        ("['redis://u:a@h','redis://v:b@i']", "['redis://u:***@h','redis://v:***@i']"),
        ("host=h password='a b' dbname=d", "host=h password=*** dbname=d"),
        ('host=h password="a b" dbname=d', "host=h password=*** dbname=d"),
        ("host=h password=ge'heim dbname=d", "host=h password=*** dbname=d"),
        ("'host=h password=x'", "'host=h password=***'"),
        ("host=h password=x dbname=d", "host=h password=*** dbname=d"),
        ("user:s3cret@kafka:9092", "user:***@kafka:9092"),
        ("postgresql://u@h:5432/d", "postgresql://u@h:5432/d"),
        ("kafka-1:9092,kafka-2:9092", "kafka-1:9092,kafka-2:9092"),
        ('{"stream":"btcusdt@depth@100ms"}', '{"stream":"btcusdt@depth@100ms"}'),
        ("wss://h:443/ws/btcusdt@depth@100ms", "wss://h:443/ws/btcusdt@depth@100ms"),
        ("stream binance:btcusdt@depth@100ms", "stream binance:btcusdt@depth@100ms"),
    ],
)
def test_passwords_are_masked(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


def test_a_problem_masks_its_value() -> None:
    said = str(Problem("spec.sinks.redis.url", "redis://u:pa:ss@h", "must not contain a password"))
    assert said == "spec.sinks.redis.url: 'redis://u:***@h': must not contain a password"
