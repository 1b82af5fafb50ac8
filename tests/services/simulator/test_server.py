"""The server over real sockets: WebSocket and REST on one port, pings and pongs, limits, what a client may do wrong."""

from __future__ import annotations

import asyncio
import socket as sockets
import time
from functools import partial
from typing import Any

import aiohttp
import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.records import AggTrade, Book, ExchangeCandle, Quote, Ticker, Trade
from marketpipeline.simulator.connections import Connection
from marketpipeline.simulator.main import SimulatedExchange
from marketpipeline.topics import EXCHANGE_FEEDS, Feed
from marketpipeline.venues.adapter import StreamOptions, load_adapter
from marketpipeline.venues.messages import Acknowledged, BookChange

from tests.services.simulator.client import client_of, eventually, messages, serving, settings, until

TYPES = aiohttp.WSMsgType


async def test_a_simulated_market_over_a_combined_connection() -> None:
    streams = ["depth@100ms", "trade", "bookTicker", "depth20@100ms", "aggTrade"]
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        socket = await client.connect("/stream?streams=" + "/".join(f"btcusdt@{name}" for name in streams))
        seen: dict[str, Any] = {}
        while len(seen) < len(streams):
            (message,) = await messages(socket, 1)
            seen[message["stream"].partition("@")[2]] = message["data"]
    assert seen["trade"]["s"] == "BTCUSDT"
    assert len(seen["depth20@100ms"]["bids"]) == 20
    assert abs(seen["depth@100ms"]["E"] - time.time() * 1000) < 20_000


async def test_the_projects_own_reader_takes_every_message() -> None:
    """Each feed as ingestion asks for it, in a market where much happens: nothing is refused, each kind is seen."""
    adapter = load_adapter("binance")
    symbol = "binance:BTCUSDT"
    streams = [*adapter.streams([symbol], EXCHANGE_FEEDS, StreamOptions())]
    streams += adapter.streams([symbol], [Feed.BOOK], StreamOptions(levels=20, partial_depth=True))
    mapper = adapter.mapper(streams)
    kinds: set[type] = set()
    scenarios = ["volume-burst", "spread-blow-out@3s", "price-spike@6s", "one-sided-book@12s"]
    async with (
        serving(symbols=["BTCUSDT"], speed=8.0, scenarios=scenarios) as exchange,
        client_of(exchange) as client,
    ):
        url = adapter.url(exchange.url, streams[0].endpoint).removeprefix(exchange.url)
        socket = await client.connect(url)
        await socket.send_str(adapter.subscribe(1, streams).decode())
        async with asyncio.timeout(20):
            while exchange.timeline.elapsed < 20:
                message = await socket.receive()
                said = mapper.map(message.data.encode(), time.time_ns() // 1000)
                kinds.update(map(type, said[1]) if isinstance(said, tuple) else [type(said)])
    assert kinds == {Acknowledged, BookChange, Book, Trade, AggTrade, Quote, Ticker, ExchangeCandle}


async def test_a_bare_connection_and_subscribing_later() -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws")
        await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker"], "id": 5})
        assert await messages(socket, 1) == [{"result": None, "id": 5}]
        first, second = await messages(socket, 2)
        assert set(first) == {"u", "s", "b", "B", "a", "A"}
        assert second["u"] > first["u"]
        await socket.send_json({"method": "UNSUBSCRIBE", "params": ["btcusdt@bookTicker"], "id": 6})
        assert await until(lambda m: "result" in m, socket) == {"result": None, "id": 6}
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 7})
        assert await messages(socket, 1) == [{"result": [], "id": 7}], "and no quote in between"


@pytest.mark.parametrize("name", ["BTCUSDT@trade", "nosuchusdt@trade", "btcusdt@bookticker"])
async def test_a_stream_that_does_not_exist_is_acknowledged_and_silent(name: str) -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        socket = await client.connect(f"/ws/{name}")
        await socket.send_json({"method": "SUBSCRIBE", "params": [name], "id": 1})
        assert await messages(socket, 1) == [{"result": None, "id": 1}]
        other = await client.connect("/ws/btcusdt@bookTicker")
        await messages(other, 5)
        with pytest.raises(TimeoutError):
            await messages(socket, 1, seconds=0.2)


async def test_times_in_microseconds() -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        socket = await client.connect("/stream?timeUnit=MICROSECOND&streams=btcusdt@trade")
        (message,) = await messages(socket, 1)
        assert 1.6e15 < message["data"]["E"] < 3e15
        assert 1.6e15 < message["data"]["T"] < 3e15
        _, body, _ = await client.get("/api/v3/time", **{"X-MBX-TIME-UNIT": "MICROSECOND"})
        assert body["serverTime"] > 1.6e15


async def test_what_the_client_does_wrong_gets_an_answer() -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        socket = await client.connect("/stream")
        await socket.send_str("{")
        assert (await messages(socket, 1))[0]["code"] == 3
        await socket.send_json({"method": "SUBSCRIBE", "params": 5, "id": 3})
        assert (await messages(socket, 1))[0]["error"]["code"] == 2
        await socket.send_bytes(b'{"method":"LIST_SUBSCRIPTIONS","id":4}')
        assert await messages(socket, 1) == [{"result": [], "id": 4}]


async def test_the_server_pings_and_wants_its_payload_back() -> None:
    async with (
        serving(symbols=["BTCUSDT"], ping_interval_ms=100, pong_timeout_ms=300) as exchange,
        client_of(exchange) as client,
    ):
        answering, silent = await client.connect("/ws"), await client.connect("/ws", autoping=False)
        listening = asyncio.create_task(answering.receive())
        payloads = []
        async with asyncio.timeout(5):
            while (message := await silent.receive()).type is TYPES.PING:
                payloads.append(bytes(message.data))
                await silent.pong(b"something else")
        assert message.type is TYPES.CLOSE
        assert message.extra == "Pong timeout"
        assert len(payloads) >= 3
        assert all(payload.isdigit() for payload in payloads)
        assert not listening.done(), "who answers stays"
        await eventually(lambda: len(exchange.hub.connections) == 1, "the silent one is closed")
        listening.cancel()


def more_than(connection: Connection, count: int) -> bool:
    return connection.frames_sent > count


async def test_a_pong_comes_after_everything_that_was_sent_before_it() -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws/btcusdt@bookTicker", autoping=False)
        received = 0
        for number in range(3):
            connection, known = exchange.hub.connections[1], received
            await eventually(partial(more_than, connection, known + 3), "quotes are on their way")
            sent = connection.frames_sent
            await socket.ping(f"ping {number}".encode())
            async with asyncio.timeout(5):
                while (message := await socket.receive()).type is not TYPES.PONG:
                    received += 1
            assert bytes(message.data) == f"ping {number}".encode()
            assert received >= sent


async def test_more_than_five_messages_a_second_end_the_connection() -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws", autoping=False)
        for number in range(3):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
            await socket.ping(b"x")
        async with asyncio.timeout(5):
            while (message := await socket.receive()).type in (TYPES.TEXT, TYPES.PONG):
                pass
        assert message.type is TYPES.CLOSE
        assert message.data == aiohttp.WSCloseCode.POLICY_VIOLATION
        assert message.extra == "Too many requests"


async def test_five_messages_a_second_are_allowed() -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws")
        for number in range(5):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        assert [message["id"] for message in await messages(socket, 5)] == list(range(5))


async def test_a_connection_ends_at_its_age() -> None:
    async with serving(symbols=["BTCUSDT"], connection_lifetime_ms=300) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws")
        began = time.monotonic()
        message = await asyncio.wait_for(socket.receive(), 5)
        assert message.type is TYPES.CLOSE
        assert message.data == aiohttp.WSCloseCode.GOING_AWAY
        assert time.monotonic() - began > 0.2


async def test_rest_tells_its_weight_and_refuses_what_is_too_much() -> None:
    async with serving(symbols=["BTCUSDT"], weight_per_minute=100) as exchange, client_of(exchange) as client:
        status, body, headers = await client.get("/api/v3/depth?symbol=BTCUSDT&limit=1000")
        assert status == 200
        assert body["bids"]
        assert headers["X-MBX-USED-WEIGHT-1M"] == "50"
        _, _, headers = await client.get("/api/v3/time")
        assert headers["X-MBX-USED-WEIGHT-1M"] == "51"
        status, body, headers = await client.get("/api/v3/depth?symbol=BTCUSDT&limit=1000")
        assert (status, body["code"]) == (429, -1003)
        assert 1 <= int(headers["Retry-After"]) <= 60
        for _ in range(11):
            status, body, headers = await client.get("/api/v3/time")
        assert status == 418
        assert int(headers["Retry-After"]) > 60


async def test_paths_that_do_not_exist() -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await client.connect("/elsewhere")
        assert (await client.get("/api/v3/account"))[0] == 404
        assert (await client.get("/ws"))[0] == 404, "no WebSocket asked for"
        async with client.http.post(f"{exchange.url}/api/v3/time") as answer:
            assert answer.status == 405


async def test_health_and_metrics() -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        await client.connect("/ws/btcusdt@trade")
        status, body, _ = await client.get("/health")
        assert (status, body["status"], body["mode"]) == (200, "ok", "simulated")
        assert (await client.get("/health/live"))[0] == 200
        status, text, headers = await client.get("/metrics")
        assert status == 200
        assert headers["Content-Type"].startswith("text/plain")
        assert b"# HELP" in text
        known = await client.status()
        assert known["connections"][0]["streams"] == ["btcusdt@trade"]
        assert abs(known["clock"] / 1e6 - time.time()) < 20


async def test_a_port_in_use_is_named() -> None:
    with sockets.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        values = settings(symbols=["BTCUSDT"])
        exchange = SimulatedExchange(values.model_copy(update={"http": values.http.model_copy(update={"port": port})}))
        with pytest.raises(InvalidInput, match=f"http.port: {port}: must be free on"):
            await exchange.start()


async def test_stopping_says_goodbye() -> None:
    async with aiohttp.ClientSession() as http:
        async with serving(symbols=["BTCUSDT"]) as exchange:
            socket = await http.ws_connect(f"{exchange.url}/ws")
            waiting = asyncio.create_task(socket.receive())
            await asyncio.sleep(0)
        message = await asyncio.wait_for(waiting, 5)
        assert message.type is TYPES.CLOSE
        assert message.data == aiohttp.WSCloseCode.GOING_AWAY


async def test_clients_that_vanish_harm_nobody() -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        stays = await client.connect("/ws/btcusdt@bookTicker")
        for _ in range(20):
            goes = await client.http.ws_connect(f"{exchange.url}/ws/btcusdt@bookTicker")
            transport = goes.get_extra_info("socket")
            assert transport is not None
            response = goes._response  # a reset, not a close: what a killed process leaves
            assert response.connection is not None
            assert response.connection.transport is not None
            response.connection.transport.abort()
        await eventually(lambda: len(exchange.hub.connections) == 1, "they are forgotten")
        await messages(stays, 3)
        assert not exchange.control.failure
