from __future__ import annotations

import pytest
from confluent_kafka import Message
from marketpipeline.records import Record, Trade, encode
from marketpipeline.sinks.decoding import Decoder, Undecodable
from marketpipeline.store import REDIS_TOPICS, TABLES

from tests.services.sinks.samples import BTC, every_kind, quote, trade


def message(topic: str, value: bytes | None) -> Message:
    return Message(topic=topic, partition=2, offset=7, key=BTC.encode(), value=value, headers=[("traceparent", b"x")])


@pytest.mark.parametrize("record", every_kind(), ids=lambda record: type(record).__name__)
def test_each_kind_on_its_topic(record: Record) -> None:
    kinds = {table.record: table.topic.value for table in TABLES} | {type(quote()): "quotes"}
    delivery = Decoder("crypto").decode(message(f"crypto.{kinds[type(record)]}", encode(record)))
    assert delivery is not None
    assert delivery.record == record
    assert (delivery.partition, delivery.offset, delivery.key) == (2, 7, BTC.encode())
    assert delivery.headers == (("traceparent", b"x"),)
    assert delivery.payload == encode(record)


def test_nothing_to_store() -> None:
    decoder = Decoder("crypto")
    assert decoder.decode(message("crypto.candles", None)) is None


@pytest.mark.parametrize(
    ("topic", "value", "words"),
    [
        ("crypto.trades", b"", "Input data was truncated"),
        ("crypto.trades", b"[]", "Expected `object`"),
        ("crypto.trades", encode(quote()), "type quote does not belong in crypto.trades"),
        ("crypto.quotes", encode(trade()), "type trade does not belong in crypto.quotes"),
        ("other.trades", encode(trade()), "does not belong in other.trades"),
        ("crypto.trades", encode(trade()).replace(b'"v":1', b'"v":9'), "Expected `v` 1, got 9"),
        ("crypto.trades", encode(trade()).replace(b'"buy"', b'"bid"'), "taker_side"),
        ("crypto.trades", encode(trade(trade_time=-1)), "trade_time: -1 is not a time"),
        ("crypto.trades", encode(trade(receive_time=10**18)), "receive_time: 1000000000000000000 is not a time"),
    ],
)
def test_what_is_wrong_is_named(topic: str, value: bytes, words: str) -> None:
    with pytest.raises(Undecodable, match=words):
        Decoder("crypto").decode(message(topic, value))


def test_every_topic_of_a_sink_is_known() -> None:
    known = Decoder("p")._expected
    assert {f"p.{kind.value}" for kind in REDIS_TOPICS} <= known.keys()
    assert Trade in known["p.trades"]
