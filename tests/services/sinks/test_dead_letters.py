"""Letters that are out of the ordinary; the ordinary ones are in the runner's tests."""

from __future__ import annotations

import json

import pytest
from marketpipeline.settings import KafkaSettings
from marketpipeline.sink_kinds import SinkSettings
from marketpipeline.sinks.base import Backpressure
from marketpipeline.sinks.dead_letters import DeadLetters, Origin

from tests.conftest import free_port
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker


def settings(topics: Topics | None) -> SinkSettings:
    kafka = topics.kafka if topics else KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    prefix = topics.prefix if topics else "x"
    return SinkSettings(
        pipeline="test", kafka=kafka, topic_prefix=prefix, consumer_group="g", batch_rows=1, flush_interval_ms=1
    )


def test_a_letter_that_is_too_large_is_cut_and_says_so(broker: RunningBroker) -> None:
    topics = Topics(broker, kinds=[])
    letters = DeadLetters(settings(topics), "memory")
    letters.add(Origin("t", 0, 5, b"a:B", b'"' * 990_000), ValueError("no record"), "VALUE_CONVERTER")
    letters.settle(30)
    (letter,) = topics.dead_letters(1)
    body = json.loads(letter.value() or b"")
    assert body["payload"] == '"' * 100_000
    assert body["error"] == "no record (payload cut to 100000 of 990000 characters)"
    assert (body["source"], body["symbol"]) == ("t[0]@5", "a:B")


def test_a_message_without_a_key(broker: RunningBroker) -> None:
    topics = Topics(broker, kinds=[])
    letters = DeadLetters(settings(topics), "memory")
    letters.add(Origin("t", 0, 5, None, b"x"), ValueError("no record"), "VALUE_CONVERTER")
    letters.settle(30)
    assert json.loads(topics.dead_letters(1)[0].value() or b"")["symbol"] == ""
    letters.settle(0)


def test_it_is_backpressure_while_the_broker_is_away() -> None:
    letters = DeadLetters(settings(None), "memory")
    letters.settle()
    letters.add(Origin("t", 0, 5, b"a:B", b"x"), ValueError("no record"), "VALUE_CONVERTER")
    for _ in range(2):
        with pytest.raises(Backpressure, match="does not take dead letters"):
            letters.settle(0.2)
        assert letters.unsettled == 1
