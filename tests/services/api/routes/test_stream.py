"""`/api/v1/stream` over sockets, from topics of a real broker: WebSockets and server-sent events."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest
from marketpipeline.api.models import StreamMessage
from marketpipeline.settings import KafkaSettings
from marketpipeline.store.rows import json_of
from marketpipeline.topics import TopicKind
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.conftest import free_port
from tests.services.api.serving import Stores, listening, serving
from tests.services.sinks.samples import BTC, ETH, alert, book, candle, raw_book, trade
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker

FEEDS = ["book", "trades", "quotes", "tickers"]


@pytest.fixture
def topics(broker: RunningBroker) -> Topics:
    return Topics(broker)


@pytest.fixture
async def address(stores: Stores, topics: Topics) -> AsyncIterator[str]:
    stores.put(candle(0, interval="5m", closed=True), alert(0))
    topics.put(trade(1), book(1))
    async with listening(stores.settings(kafka=topics.kafka, topic_prefix=topics.prefix, feeds=FEEDS)) as found:
        yield found


async def messages(socket: ClientConnection) -> AsyncIterator[dict[str, Any]]:
    async for text in socket:
        message = json.loads(text)
        StreamMessage.model_validate(message)
        yield message


async def records(source: AsyncIterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The records of the next updates, and the id after them."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            message = await anext(source)
            assert message["type"] == "updates", message
            found += message["records"]
    assert len(found) == count
    return found


@asynccontextmanager
async def events(address: str, headers: dict[str, str] | None = None, **parameters: str) -> AsyncIterator[Any]:
    """The messages of server-sent events, each with what its frame said."""
    url = f"http://{address}/api/v1/stream"
    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream("GET", url, params=parameters, headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")

        async def read() -> AsyncGenerator[dict[str, Any]]:
            frame: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    frame[name] = value
                elif frame:
                    message = json.loads(frame["data"])
                    assert (frame["event"], frame.get("id")) == (message["type"], message.get("id"))
                    StreamMessage.model_validate(message)
                    yield message
                    frame = {}

        async with aclosing(read()) as found:
            yield found


async def test_a_snapshot_of_the_stores_and_the_topics_then_what_comes(address: str, topics: Topics) -> None:
    async with (
        connect(f"ws://{address}/api/v1/stream") as socket,
        events(address, symbols="BTCUSDT", kinds="candle:1m,alert") as sse,
    ):
        frames = messages(socket)
        first, of_sse = await anext(frames), await anext(sse)
        assert (first["type"], first["live"]) == ("snapshot", True)
        found = {(row["kind"], row.get("interval")): row for row in first["records"]}
        assert found.keys() == {("trade", None), ("book", None), ("candle", "5m"), ("alert", None)}
        assert found["trade", None] == {"kind": "trade", **json_of(trade(1))}, "in the form of the other answers"
        assert [row["kind"] for row in of_sse["records"]] == ["alert"]
        sent = [
            trade(2),
            trade(2, ETH),
            book(2),
            candle(0),
            candle(0, closed=True),
            candle(0, interval="15m"),
            alert(1),
        ]
        topics.put(*sent)
        got = await records(frames, len(sent))
        assert sorted(map(str, got)) == sorted(
            str({"kind": kind, **json_of(r)})
            for r, kind in zip(sent, ("trade", "trade", "book", "candle", "candle", "candle", "alert"), strict=True)
        )
        chosen = await records(sse, 3)
        assert sorted((row["kind"], row.get("closed")) for row in chosen) == [
            ("alert", None),
            ("candle", False),
            ("candle", True),
        ]


async def test_levels_come_for_who_asks_for_them(address: str, topics: Topics) -> None:
    topics.create(TopicKind.BOOK)
    sent = [raw_book(number, symbol) for number in range(40) for symbol in (BTC, ETH)]
    async with (
        connect(f"ws://{address}/api/v1/stream?kinds=levels&symbols=ETHUSDT") as socket,
        connect(f"ws://{address}/api/v1/stream") as without,
    ):
        frames, others = messages(socket), messages(without)
        assert (await anext(frames))["records"] == []
        assert (await anext(others))["type"] == "snapshot"
        topics.put(*sent)
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(20):
            while not found or found[-1]["update_id"] < 39:
                found += (await anext(frames))["records"]
        last = sent[-1]
        assert (found[-1]["kind"], found[-1]["receive_time"]) == ("levels", json_of(last)["receive_time"])
        assert found[-1]["bids"] == [list(level) for level in last.bids]
        assert len(found) < 20, "as often as a screen can show them"
        topics.put(trade(50))
        assert [row["kind"] for row in await records(others, 1)] == ["trade"], "no levels for who names no kind"
    async with connect(f"ws://{address}/api/v1/stream?kinds=levels") as socket:
        frames = messages(socket)
        first = (await anext(frames))["records"]
        assert {row["symbol"]: row["update_id"] for row in first} == {BTC: 39, ETH: 39}


async def test_readers_go_on_where_they_were(address: str, topics: Topics, stores: Stores) -> None:
    async with connect(f"ws://{address}/api/v1/stream?kinds=trade") as socket:
        last = (await anext(messages(socket)))["id"]
    topics.put(*(trade(number) for number in range(10, 40)))
    async with (
        connect(f"ws://{address}/api/v1/stream?kinds=trade&last_id={last}") as socket,
        events(address, {"Last-Event-ID": last}, kinds="trade") as sse,
    ):
        for source in (messages(socket), sse):
            assert (await anext(source))["type"] == "resumed"
            assert [row["trade_id"] for row in await records(source, 30)] == [1_000 + n for n in range(10, 40)]
    settings = stores.settings(kafka=topics.kafka, topic_prefix=topics.prefix, feeds=FEEDS)
    async with (
        listening(settings) as other,
        connect(f"ws://{other}/api/v1/stream?kinds=trade&last_id={last}") as socket,
    ):
        frames = messages(socket)
        assert (await anext(frames))["type"] == "resumed", "another process has what the topics have"
        assert [row["trade_id"] for row in await records(frames, 31)] == [1_001, *(1_000 + n for n in range(10, 40))]


async def test_a_slow_reader_is_told_and_thinned_and_the_others_are_not(address: str, topics: Topics) -> None:
    host, _, port = address.partition(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.connect((host, int(port)))
    raw.setblocking(False)
    url = f"ws://{address}/api/v1/stream?kinds=book"
    count, portion = 15_000, 500
    async with connect(url, sock=raw, max_queue=1) as slow, connect(url, max_queue=None) as quick:
        frames = messages(quick)
        assert (await anext(frames))["type"] == "snapshot"
        for first in range(2, count + 2, portion):
            await asyncio.to_thread(topics.put, *(book(number) for number in range(first, first + portion)))
            got = await records(frames, portion)
            assert [row["update_id"] for row in got] == [7_000 + number for number in range(first, first + portion)]
        seen = skipped = newest = 0
        async for message in messages(slow):
            if message["type"] == "thinned":
                skipped += message["skipped"]
            elif message["type"] == "updates":
                seen += len(message["records"])
                newest = message["records"][-1]["update_id"]
                if newest == 7_001 + count:
                    break
        assert skipped > 0
        assert seen + skipped == count, "what is left out is told"


async def test_a_broker_that_is_away_is_told(stores: Stores) -> None:
    stores.put(trade(1))
    nobody = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    settings = stores.settings(kafka=nobody, topic_prefix="x", feeds=FEEDS)
    async with listening(settings) as address, events(address) as sse:
        first = await anext(sse)
    assert first["live"] is False
    assert [row["kind"] for row in first["records"]] == ["trade"], "what the stores have"


async def test_topics_that_come_later_are_read(stores: Stores, broker: RunningBroker) -> None:
    topics = Topics(broker, ())
    settings = stores.settings(kafka=topics.kafka, topic_prefix=topics.prefix, feeds=FEEDS)
    async with listening(settings) as address, events(address) as sse:
        assert (await anext(sse))["records"] == []
        topics.create(*topics._kinds)
        topics.put(trade(1))
        assert [row["kind"] for row in await records(sse, 1)] == ["trade"]


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("symbols=BTCUSD", "symbols", "did you mean BTCUSDT?"),
        ("kinds=books", "kinds", "did you mean book?"),
        ("kinds=book:1m", "kinds", "unknown kind"),
        ("kinds=candle:1h", "kinds", "unknown kind"),
        ("since=1", "since", "unknown parameter"),
    ],
)
async def test_wrong_parameters(address: str, query: str, field: str, words: str) -> None:
    url = f"{address}/api/v1/stream?{query}"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"ws://{url}"):
            pass
    answers = [(refused.value.response.status_code, json.loads(refused.value.response.body or b""))]
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://{url}")
        answers.append((answer.status_code, answer.json()))
    for status, body in answers:
        assert (status, body["problems"][0]["field"]) == (400, field)
        assert words in body["problems"][0]["expected"]


async def test_there_is_a_most_of_readers(stores: Stores, topics: Topics) -> None:
    settings = stores.settings(kafka=topics.kafka, topic_prefix=topics.prefix, feeds=FEEDS, max_stream_readers=1)
    async with listening(settings) as address:
        async with events(address) as sse:
            await anext(sse)
            with pytest.raises(InvalidStatus) as refused:
                async with connect(f"ws://{address}/api/v1/stream"):
                    pass
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["retry-after"] == "10"
        async with asyncio.timeout(10):
            while True:
                try:
                    async with connect(f"ws://{address}/api/v1/stream"):
                        break
                except InvalidStatus:
                    await asyncio.sleep(0.05)


async def test_without_a_broker(stores: Stores) -> None:
    async with serving(stores.settings()) as api:
        assert "no broker" in (await api.get("/api/v1/stream", 501))["detail"]


async def test_readers_are_sent_away_at_the_end(stores: Stores, topics: Topics) -> None:
    settings = stores.settings(kafka=topics.kafka, topic_prefix=topics.prefix, feeds=FEEDS)
    async with listening(settings) as address:
        socket = await connect(f"ws://{address}/api/v1/stream")
        await socket.recv()
    async with asyncio.timeout(5):
        await socket.wait_closed()
    assert socket.close_code == 1001
