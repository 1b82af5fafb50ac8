"""Each stage of a drained replay is waited for, in order, and one that does not get on is named."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from marketpipeline.errors import RetryableError
from marketpipeline.kafka import consumer_config, producer_config
from marketpipeline.local.components.service import Service
from marketpipeline.local.drain import (
    CaughtUp,
    ConsumerGroup,
    Delivered,
    Look,
    NotDrained,
    Replay,
    group_of_job,
    groups_of_sinks,
    wait_for,
)
from marketpipeline.local.offsets import Offsets
from marketpipeline.plan import Topic, plan
from marketpipeline.settings import KafkaSettings
from marketpipeline.spec import load_file
from marketpipeline.topic_admin import ensure_topics
from marketpipeline.topics import TopicKind

from tests.conftest import PROJECT
from tests.conftest import wait_for as wait_until
from tests.support.broker import RunningBroker


class Answers:
    """A process that says over HTTP what a test tells it to."""

    def __init__(self) -> None:
        self.says: dict[str, dict[str, Any]] = {}
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(answers.says.get(self.path, {})).encode()
                self.send_response(200 if self.path in answers.says else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing to say."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.service = Service(name="ingestion-x", arguments=(), port=self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def answers() -> Iterator[Answers]:
    found = Answers()
    yield found
    found.close()


def test_the_replay_has_ended_when_every_exchange_says_so(answers: Answers) -> None:
    other = Answers()
    replay = Replay({"binance": answers.service, "other": other.service})
    for found, finished, last in ((answers, True, 17), (other, False, 23)):
        found.says["/control/status"] = {"finished": finished, "clock": 5, "frames": 1_000, "last_event_time": last}
    look = replay.look()
    assert (look.done, look.text) == (False, "the replay to end (2,000 frames sent)")
    other.says["/control/status"]["finished"] = True
    assert replay.look().done
    assert replay.last_event_times == {"binance": 17, "other": 23}
    other.close()
    with pytest.raises(RetryableError):
        replay.look()


@pytest.mark.parametrize(
    ("health", "done"),
    [
        ({"synced_through": 100, "pending": 0, "in_flight": 0}, True),
        ({"synced_through": 150, "pending": 0, "in_flight": 0}, True),
        ({"synced_through": 99, "pending": 0, "in_flight": 0}, False),
        ({"synced_through": 100, "pending": 1, "in_flight": 0}, False),
        ({"synced_through": 100, "pending": 0, "in_flight": 3}, False),
        ({"synced_through": None}, False),
        ({}, False),
    ],
)
def test_ingestion_has_it_all(answers: Answers, health: dict[str, Any], done: bool) -> None:
    answers.says["/health"] = {"status": "ok", **health}
    assert Delivered(answers.service, 100).look().done is done


def test_ingestion_that_starts_has_nothing_yet(answers: Answers) -> None:
    assert "ingestion-x (0.0 s behind" in Delivered(answers.service, 100).look().text


def test_readers_of_the_plan() -> None:
    found = plan(load_file(PROJECT / "manifests" / "quickstart.yaml"))
    job = group_of_job(found)
    assert job is not None
    assert job.id == "quickstart.stream-job"
    assert {topic.kind for topic in job.topics} == {TopicKind.TRADES, TopicKind.BOOK}
    groups = {group.name: group for group in groups_of_sinks(found)}
    assert set(groups) == {"sink-timescale", "sink-redis"}
    assert TopicKind.EVENTS in {topic.kind for topic in groups["sink-timescale"].topics}
    assert TopicKind.BOOK not in {topic.kind for topic in groups["sink-timescale"].topics}


def test_a_group_has_caught_up_with_the_first_look(broker: RunningBroker) -> None:
    settings = KafkaSettings(bootstrap_servers=broker.address)
    name, group = f"{broker.prefix()}.trades", f"{broker.prefix()}.sink"
    topic = Topic(name=name, kind=TopicKind.TRADES, partitions=2, replication_factor=1, config={})
    ensure_topics(settings, [topic])
    producer = Producer(producer_config(settings, "test"))

    def produce(count: int) -> None:
        for _ in range(count):
            producer.produce(name, b"x", partition=1)
        assert producer.flush(10) == 0

    def commit(offset: int) -> None:
        consumer = Consumer(consumer_config(settings, "test", group))
        consumer.commit(offsets=[TopicPartition(name, 1, offset)], asynchronous=False)
        consumer.close()

    offsets = Offsets(settings)

    def nothing_to_wait_for() -> bool:
        with contextlib.suppress(RetryableError):  # a topic that was just made may have no leader yet
            return CaughtUp(offsets, [ConsumerGroup("sink", group, [topic])]).look().done
        return False

    wait_until(nothing_to_wait_for, "an empty topic holds nobody up")
    produce(10)
    stage = CaughtUp(offsets, [ConsumerGroup("sink", group, [topic])])
    look = stage.look()
    assert (look.done, look.text) == (False, "sink (10 records behind)")
    produce(5)
    commit(7)
    assert stage.look().text == "sink (3 records behind)"
    commit(10)
    assert stage.look().done, "what came after the first look is not waited for"
    assert not CaughtUp(offsets, [ConsumerGroup("sink", group, [topic])]).look().done


async def test_waiting_reports_and_ends() -> None:
    looks: Iterator[Look | RetryableError] = iter(
        [Look(False, 1, "sink (2 records behind)"), RetryableError("away"), Look(True, 2, "")]
    )
    said: list[str] = []

    def look() -> Look:
        found = next(looks)
        if isinstance(found, Exception):
            raise found
        return found

    await wait_for(look, said.append)
    assert said == ["sink (2 records behind)"]


async def test_a_stage_that_stalls_is_named() -> None:
    with pytest.raises(NotDrained, match=r"nothing changed for 0.3 s while waiting for sink \(2 records behind\)"):
        await wait_for(lambda: Look(False, 1, "sink (2 records behind)"), lambda _: None, stalled_seconds=0.3)


async def test_a_stage_that_does_not_answer_stalls_too() -> None:
    def away() -> Look:
        raise RetryableError("the broker does not say where topics end")

    with pytest.raises(NotDrained, match="the broker does not say where topics end"):
        await wait_for(away, lambda _: None, stalled_seconds=0.3)


async def test_progress_however_slow_is_no_stall() -> None:
    count = iter(range(100))

    def slow() -> Look:
        number = next(count)
        return Look(number == 4, number, "the replay")

    async with asyncio.timeout(10):
        await wait_for(slow, lambda _: None, stalled_seconds=0.3)
