"""Captures replayed through real sockets: everything once and in order, and REST that agrees with it at any moment."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from marketpipeline.simulator.main import SimulatedExchange
from marketpipeline.simulator.server import WRITE_BUFFER

from tests.services.simulator.client import (
    START,
    Client,
    client_of,
    diff,
    eventually,
    messages,
    serving,
    settings,
    snapshot,
    trade,
    until,
    write_capture,
)

BTC, ETH = "binance_btcusdt_20240808.gz", "binance_ethusdt_20240808.gz"
FEEDS = ("depth@100ms", "bookTicker", "trade")
BOTH = "/stream?streams=" + "/".join(f"{symbol}@{feed}" for symbol in ("btcusdt", "ethusdt") for feed in FEEDS)


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Receive time and message of each line; nothing of the product is used here."""
    with gzip.open(path, "rt") as file:
        for line in file:
            stamp, _, message = line.rstrip("\n").partition(" ")
            yield int(stamp), message


def merged(*paths: Path) -> list[str]:
    """The messages of streams in the order of their receive times."""
    everything = sorted((line for path in paths for line in lines(path)), key=lambda line: line[0])
    return [message for _, message in everything if message.startswith('{"stream"')]


@cache
def changes(path: Path) -> tuple[Any, list[Any]]:
    """The capture's snapshot, and the book changes that it does not have."""
    books = [message for _, message in lines(path) if "@depth" in message[:40] or "lastUpdateId" in message]
    found = [json.loads(message[message.index("{") :]) for message in books]
    (start,) = [one for one in found if "lastUpdateId" in one]
    return start, [one["data"] for one in found if "data" in one and one["data"]["u"] > start["lastUpdateId"]]


def book_at(path: Path, update_id: int) -> tuple[dict[str, str], dict[str, str]]:
    """The book after an update, from the capture's snapshot and changes."""
    start, found = changes(path)
    sides: tuple[dict[str, str], dict[str, str]] = (dict(start["bids"]), dict(start["asks"]))
    for one in found:
        if one["u"] > update_id:
            break
        for side, changed in zip(sides, (one["b"], one["a"]), strict=True):
            for price, quantity in changed:
                side[price] = quantity
                if Decimal(quantity) == 0:
                    del side[price]
    return sides


async def read_all(socket: aiohttp.ClientWebSocketResponse, count: int, seconds: float = 60) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(seconds):
        while len(found) < count:
            message = await socket.receive()
            assert message.type is aiohttp.WSMsgType.TEXT, message
            found.append(message.data)
    return found


async def finished(exchange: SimulatedExchange) -> None:
    await eventually(lambda: exchange.timeline.finished, "the replay has ended", 60)


async def test_both_captures_as_fast_as_they_are_read(capture: Callable[[str], Path]) -> None:
    paths = [capture(BTC), capture(ETH)]
    expected = merged(*paths)
    async with serving(captures=[str(p) for p in paths], speed=None) as exchange, client_of(exchange) as client:
        socket = await client.connect(BOTH)
        for symbol in ("BTCUSDT", "ETHUSDT"):
            await client.get(f"/api/v3/depth?symbol={symbol}")
        assert await read_all(socket, len(expected)) == expected
        await finished(exchange)
        status = await client.status()
        times = (json.loads(message)["data"].get("E", 0) for message in expected)
        assert status["last_event_time"] == max(times) * 1000
        assert status["clock"] >= status["last_event_time"]
        assert status["frames_sent"] == len(expected)
        again = await client.status()
        assert again["clock"] > status["clock"], "after the end the clock goes on"
        _, book, _ = await client.get("/api/v3/depth?symbol=BTCUSDT&limit=5000")
    bids, asks = book_at(paths[0], book["lastUpdateId"])
    assert dict(book["bids"]) == bids
    assert dict(book["asks"]) == asks
    assert [price for price, _ in book["bids"]] == sorted(bids, key=Decimal, reverse=True)


async def test_at_full_speed_the_first_change_waits_for_the_snapshot(capture: Callable[[str], Path]) -> None:
    path = capture(BTC)
    async with (
        serving(captures=[str(path)], speed=None, settle_ms=30_000) as exchange,
        client_of(exchange) as client,
    ):
        socket = await client.connect("/stream?streams=" + "/".join(f"btcusdt@{feed}" for feed in FEEDS))
        first = await until(lambda message: message["stream"] == "btcusdt@depth@100ms", socket)
        _, book, _ = await client.get("/api/v3/depth?symbol=BTCUSDT&limit=1000")
        second = await messages(socket, 5000)
        later = [m["data"] for m in [first, *second] if "depth" in m["stream"]]
        assert any(change["U"] <= book["lastUpdateId"] + 1 <= change["u"] for change in later)
        assert sum(change["u"] > book["lastUpdateId"] for change in later) > len(later) - 5, "hardly one is too old"


async def test_it_stops_when_the_reader_that_it_waits_for_leaves(tmp_path: Path) -> None:
    """The reader's end and the end of the exchange came in one turn of the loop, and the second was lost."""
    path = write_capture(tmp_path / "a.gz", [diff(at, at, at, [["99.0", "1"]], []) for at in range(1, 50)])
    exchange = SimulatedExchange(settings(captures=[str(path)], speed=None, settle_ms=60_000))
    await exchange.start()
    async with client_of(exchange) as client:
        socket = await client.connect("/ws/btcusdt@depth@100ms")
        await messages(socket, 1)
    exchange.hub.changed.set()
    began = time.monotonic()
    async with asyncio.timeout(8):
        await exchange.stop()
    assert time.monotonic() - began < 7, "it was stopped by the time that it had"


async def test_at_full_speed_the_changes_after_a_hole_wait_for_a_new_snapshot(tmp_path: Path) -> None:
    lines = [snapshot(0, 1, [["99.0", "1"]], [["101.0", "1"]])]
    lines += [diff(at, at, at, [["99.0", str(at)]], []) for at in range(2, 300)]
    lines += [snapshot(320, 320, [["98.0", "1"]], [["101.0", "1"]])]
    lines += [diff(at, at, at, [["98.0", str(at)]], []) for at in range(321, 2000)]
    path = write_capture(tmp_path / "a.gz", lines)
    async with serving(captures=[str(path)], speed=None, settle_ms=10_000) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws/btcusdt@depth@100ms")
        await client.get("/api/v3/depth?symbol=BTCUSDT")
        changes = await messages(socket, 299)
        assert (changes[-2]["u"], changes[-1]["U"]) == (299, 321)
        await asyncio.sleep(0.1)
        assert not exchange.timeline.finished
        _, book, _ = await client.get("/api/v3/depth?symbol=BTCUSDT")
        assert book["lastUpdateId"] == 321, "of now"
        await eventually(lambda: exchange.timeline.finished, "it goes on")


@pytest.mark.parametrize("speed", [None, 1.0])
async def test_who_asks_in_a_hole_gets_what_rest_told_then(tmp_path: Path, speed: float | None) -> None:
    """As a reader recorded it: it met the hole at 20, and had the answer when the changes up to 27 had come."""
    lines = [snapshot(0, 1, [["99.0", "1"]], [["101.0", "1"]])]
    lines += [diff(at, at, at, [["99.0", str(at)]], []) for at in range(2, 10)]
    lines += [diff(20, 20, 21, [["97.0", "1"]], []), diff(400, 22, 27, [["97.0", "2"]], [])]
    lines += [snapshot(600, 25, [["98.0", "1"], ["97.0", "7"]], [["102.0", "1"]])]
    lines += [diff(601 + at, 28 + at, 28 + at, [["96.0", str(at)]], []) for at in range(300)]
    path = write_capture(tmp_path / "a.gz", lines)
    async with serving(captures=[str(path)], speed=speed, settle_ms=10_000) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws/btcusdt@depth@100ms")
        if speed is None:
            await client.get("/api/v3/depth?symbol=BTCUSDT")
        await until(lambda change: change["U"] == 20, socket)
        _, book, _ = await client.get("/api/v3/depth?symbol=BTCUSDT")
        assert book == {"lastUpdateId": 25, "bids": [["98.0", "1"], ["97.0", "7"]], "asks": [["102.0", "1"]]}
        await until(lambda change: change["U"] == 327, socket)
        _, book, _ = await client.get("/api/v3/depth?symbol=BTCUSDT")
        assert (book["lastUpdateId"], book["bids"][:2]) == (327, [["98.0", "1"], ["97.0", "2"]])


async def test_at_full_speed_it_waits_until_a_busy_reader_has_read_so_far_and_asks(tmp_path: Path) -> None:
    """However long that takes: this one needs many times what a reader gets who has not much to do."""
    lines = [snapshot(0, 1, [["99.0", "1"]], [["101.0", "1"]])]
    lines += [diff(at, at, at, [["99.0", str(at)]], []) for at in range(2, 300)]
    lines += [snapshot(320, 320, [["98.0", "1"]], [["101.0", "1"]])]
    lines += [diff(at, at, at, [["98.0", str(at)]], []) for at in range(321, 2000)]
    path = write_capture(tmp_path / "a.gz", lines)
    async with serving(captures=[str(path)], speed=None, settle_ms=20) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws/btcusdt@depth@100ms")
        for needs_one in (2, 321):
            await asyncio.sleep(0.5)
            while (await messages(socket, 1))[0]["u"] != needs_one:
                pass
            reading = asyncio.create_task(socket.receive())  # and so has the ping that follows
            await asyncio.sleep(0.2)
            _, book, _ = await client.get("/api/v3/depth?symbol=BTCUSDT")
            assert book["lastUpdateId"] == needs_one, "it did not go on"
            await reading


async def test_who_shows_how_far_it_has_read_does_not_count_as_asking_too_often(tmp_path: Path) -> None:
    symbols = [f"S{number}USDT" for number in range(8)]
    lines = [diff(at, at, at, [["99.0", "1"]], [], symbol) for at in range(1, 3) for symbol in symbols]
    path = write_capture(tmp_path / "a.gz", lines)
    async with serving(captures=[str(path)], speed=None, settle_ms=5) as exchange, client_of(exchange) as client:
        socket = await client.connect("/stream?streams=" + "/".join(f"{one.lower()}@depth@100ms" for one in symbols))
        assert len(await messages(socket, len(lines))) == len(lines), "five messages a second are allowed"


async def test_rest_agrees_with_the_streams_in_the_middle(capture: Callable[[str], Path]) -> None:
    path = capture(ETH)
    async with serving(captures=[str(path)], speed=100.0) as exchange, client_of(exchange) as client:
        socket = await client.connect("/stream?streams=" + "/".join(f"ethusdt@{feed}" for feed in FEEDS))
        newest, seen = {"u": 0, "t": 0}, set()
        checked = 0
        while checked < 8:
            for message in await messages(socket, 400):
                newest |= {key: message["data"][key] for key in ("u", "t") if key in message["data"] and "a" not in key}
            _, book, _ = await client.get("/api/v3/depth?symbol=ETHUSDT&limit=20")
            _, trades, _ = await client.get("/api/v3/historicalTrades?symbol=ETHUSDT&limit=5")
            bids, asks = book_at(path, book["lastUpdateId"])
            assert book["bids"] == [[p, bids[p]] for p in sorted(bids, key=Decimal, reverse=True)[:20]]
            assert book["asks"] == [[p, asks[p]] for p in sorted(asks, key=Decimal)[:20]]
            assert trades[-1]["id"] >= newest["t"]
            seen.add(book["lastUpdateId"])
            checked += 1
        assert len(seen) > 4, "the book went on"


async def test_only_what_is_subscribed_and_bare(capture: Callable[[str], Path]) -> None:
    path = capture(ETH)
    expected = [json.loads(message)["data"] for message in merged(path) if "@trade" in message[:30]]
    async with serving(captures=[str(path)], speed=None, settle_ms=100) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws/ethusdt@trade")
        received = [json.loads(text) for text in await read_all(socket, len(expected))]
        assert received == expected
        await finished(exchange)


async def test_it_waits_for_all_streams_or_until_no_more_are_added(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "a.gz", [trade(0, 1), trade(1, 1, symbol="ETHUSDT"), trade(2, 2)])
    async with serving(captures=[str(path)], speed=None, settle_ms=60_000) as exchange, client_of(exchange) as client:
        first = await client.connect("/ws/btcusdt@trade")
        await first.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        await messages(first, 1)
        assert not exchange.timeline.started
        await client.connect("/ws/ethusdt@trade")
        assert [m["t"] for m in await messages(first, 2)] == [1, 2]
    async with serving(captures=[str(path)], speed=None, settle_ms=150) as exchange, client_of(exchange) as client:
        began = time.monotonic()
        only = await client.connect("/ws/btcusdt@trade")
        assert [m["t"] for m in await messages(only, 2)] == [1, 2]
        assert time.monotonic() - began >= 0.14


async def test_the_speed(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "a.gz", [trade(100 * number, number) for number in range(40)])
    async with serving(captures=[str(path)], speed=10.0) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws/btcusdt@trade")
        await messages(socket, 1)
        began = time.monotonic()
        await messages(socket, 39)
        assert 0.3 < time.monotonic() - began < 2.0


async def test_another_speed_from_here_on(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "a.gz", [trade(60_000 * number, number) for number in range(40)])
    async with serving(captures=[str(path)], speed=1.0) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws/btcusdt@trade")
        assert [m["t"] for m in await messages(socket, 1)] == [0]
        assert await client.post("/control/speed/600") == (200, {"speed": 600.0})
        assert [m["t"] for m in await messages(socket, 4)] == [1, 2, 3, 4]
        assert await client.post("/control/speed/max") == (200, {"speed": None})
        assert [m["t"] for m in await messages(socket, 35, seconds=1.5)] == list(range(5, 40))
        for wrong in ("0", "-1", "nan", "fast"):
            status, body = await client.post(f"/control/speed/{wrong}")
            assert (status, body["error"]) == (400, f"speed {wrong!r} must be a number above 0, or max")


async def test_at_a_speed_it_goes_on_without_a_reader_and_at_full_speed_it_waits(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "a.gz", [trade(10 * number, number) for number in range(1, 3001)])
    values: dict[str, Any] = {"captures": [str(path)], "settle_ms": 50}
    async with serving(speed=100.0, **values) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws/btcusdt@trade")
        await messages(socket, 1)
        await socket.close()
        await finished(exchange)
        assert (await client.status())["frames"] == 3000
    async with serving(speed=None, **values) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws/btcusdt@trade")
        (first,) = await messages(socket, 1)
        assert first["t"] == 1
        await socket.close()
        await eventually(lambda: not exchange.hub.connections, "the client is gone")
        before = exchange.timeline.dispatched
        await asyncio.sleep(0.2)
        assert exchange.timeline.dispatched <= before + 256
        if not exchange.timeline.finished and before < 3000:
            again = await client.connect("/ws/btcusdt@trade")
            await messages(again, 1)
        await finished(exchange)


async def test_who_was_away_finds_the_missed_trades_over_rest(capture: Callable[[str], Path]) -> None:
    path = capture(ETH)
    every = [json.loads(message)["data"] for message in merged(path) if "@trade" in message[:30]]
    async with serving(captures=[str(path)], speed=200.0) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws/ethusdt@trade")
        got = await messages(socket, 2000)
        await socket.close()
        await eventually(lambda: len(exchange.market._trades["ETHUSDT"]) > 3000, "it goes on without us")
        socket = await client.connect("/ws/ethusdt@trade")
        (live,) = await messages(socket, 1)
        missed: list[Any] = []
        while (first := (missed or [{"id": got[-1]["t"]}])[-1]["id"] + 1) < live["t"]:
            _, page, _ = await client.get(f"/api/v3/historicalTrades?symbol=ETHUSDT&fromId={first}&limit=1000")
            missed += page
        rest = await messages(socket, every[-1]["t"] - live["t"])
        ids = [m["t"] for m in got] + [m["id"] for m in missed if m["id"] < live["t"]] + [m["t"] for m in [live, *rest]]
        assert ids == [m["t"] for m in every]
        by_id = {m["t"]: m for m in every}
        for one in missed:
            original = by_id[one["id"]]
            assert (one["price"], one["qty"], one["time"], one["isBuyerMaker"]) == (
                original["p"], original["q"], original["T"], original["m"],
            )  # fmt: skip


@pytest.mark.parametrize("speed", [None, 1000.0])
async def test_a_reader_that_does_not_read_makes_it_wait_with_bounded_memory(
    capture: Callable[[str], Path], speed: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketpipeline.simulator.timeline.READS_WITHIN", 0.2)
    paths = [capture(BTC), capture(ETH)]
    expected = merged(*paths)
    async with serving(captures=[str(p) for p in paths], speed=speed) as exchange:
        reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port, limit=2**12)
        writer.write(
            f"GET {BOTH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        async with aiohttp.ClientSession() as http:
            client = Client(exchange, http)
            for symbol in ("BTCUSDT", "ETHUSDT"):
                await client.get(f"/api/v3/depth?symbol={symbol}")
            await eventually(lambda: exchange.timeline.started, "it starts")
            stalled, since = -1, time.monotonic()
            while time.monotonic() - since < 0.7:
                if exchange.timeline.dispatched != stalled:
                    stalled, since = exchange.timeline.dispatched, time.monotonic()
                await asyncio.sleep(0.02)
            assert 0 < stalled < len(expected), "it waits in the middle"
            (sender,) = exchange.server.clients.values()
            assert sender.transport.get_write_buffer_size() < 2 * WRITE_BUFFER
            status = await client.status()
            assert not status["finished"]
        received = 0
        async with asyncio.timeout(60):
            await reader.readuntil(b"\r\n\r\n")
            while received < len(expected):
                first, length = await reader.readexactly(2)
                if first == 0x89:  # a ping, which this reader does not answer
                    await reader.readexactly(length)
                    continue
                assert first == 0x81
                if length == 126:
                    length = int.from_bytes(await reader.readexactly(2), "big")
                elif length == 127:
                    length = int.from_bytes(await reader.readexactly(8), "big")
                assert (await reader.readexactly(length)).decode() == expected[received]
                received += 1
        await finished(exchange)
        writer.close()


async def test_quiet_pairs_with_their_books_in_a_file_of_their_own(capture: Callable[[str], Path]) -> None:
    names = ["binance_illiquid_20211012.gz", "binance_illiquid_20211012_rest_depth.gz"]
    frames, books = (capture(name) for name in names)
    expected = merged(frames)
    streams = sorted({json.loads(message)["stream"] for message in expected})
    answers = {m.split("symbol=")[1].partition("&")[0]: json.loads(m.partition(" ")[2]) for _, m in lines(books)}
    captures = [str(frames), str(books)]
    async with serving(captures=captures, speed=None, settle_ms=100) as exchange, client_of(exchange) as client:
        for symbol, answer in answers.items():
            _, body, _ = await client.get(f"/api/v3/depth?symbol={symbol}&limit=5000")
            assert body == answer, "before the replay it is the capture's own"
        socket = await client.connect("/stream?streams=" + "/".join(streams))
        assert await read_all(socket, len(expected)) == expected
        await finished(exchange)


async def test_derived_streams_of_a_replay_follow_its_book(capture: Callable[[str], Path]) -> None:
    path = capture(BTC)
    async with serving(captures=[str(path)], speed=None, settle_ms=100) as exchange, client_of(exchange) as client:
        socket = await client.connect("/stream?streams=btcusdt@depth20@100ms/btcusdt@kline_1m")
        found = [json.loads(text) for text in await read_all(socket, 3_000)]
    tops = [one["data"] for one in found if "depth20" in one["stream"]]
    assert len(tops) > 2_500
    for top in tops[10:2500:500]:
        bids, asks = book_at(path, top["lastUpdateId"])
        assert top["bids"] == [[p, bids[p]] for p in sorted(bids, key=Decimal, reverse=True)[:20]]
        assert top["asks"] == [[p, asks[p]] for p in sorted(asks, key=Decimal)[:20]]
    closed = [one["data"]["k"] for one in found if "kline" in one["stream"] and one["data"]["k"]["x"]]
    trades = [json.loads(m)["data"] for m in merged(path) if "@trade" in m[:30]]
    assert len(closed) >= 4
    for candle in closed:
        inside = [t for t in trades if candle["t"] <= t["T"] <= candle["T"]]
        assert (candle["o"], candle["c"], candle["n"]) == (inside[0]["p"], inside[-1]["p"], len(inside))
        assert Decimal(candle["v"]) == sum(Decimal(t["q"]) for t in inside)


async def test_the_clock_before_while_and_after(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "a.gz", [trade(0, 1), trade(2_000, 2), trade(2_100, 3)])
    async with serving(captures=[str(path)], speed=4.0, settle_ms=50) as exchange, client_of(exchange) as client:
        assert (await client.get("/api/v3/time"))[1]["serverTime"] == START
        socket = await client.connect("/ws/btcusdt@trade")
        await messages(socket, 1)
        await eventually(lambda: exchange.timeline.clock.now > (START + 500) * 1000, "it goes on where nothing happens")
        _, body, _ = await client.get("/api/v3/time")
        assert START + 500 <= body["serverTime"] < START + 2_000, "and not beyond what is still to come"
        await messages(socket, 2)
        await finished(exchange)
        assert (await client.get("/api/v3/time"))[1]["serverTime"] >= START + 2_100


async def test_a_capture_without_a_snapshot_gives_what_it_knows(tmp_path: Path) -> None:
    recorded = [diff(0, 5, 6, [["99.0", "1.0"]], []), diff(100, 7, 9, [], [["101.0", "2.0"]])]
    path = write_capture(tmp_path / "a.gz", recorded)
    async with serving(captures=[str(path)], speed=None, settle_ms=50) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws/btcusdt@depth@100ms")
        await messages(socket, 2)
        _, body, _ = await client.get("/api/v3/depth?symbol=BTCUSDT")
        assert body == {"lastUpdateId": 9, "bids": [["99.0", "1.0"]], "asks": [["101.0", "2.0"]]}


async def test_a_later_snapshot_repairs_the_book_after_a_hole_in_the_recording(tmp_path: Path) -> None:
    recorded = [
        diff(0, 5, 6, [["99.0", "1.0"]], []),
        snapshot(1, 5, [["98.0", "1.0"]], [["101.0", "1.0"]]),
        diff(100, 50, 51, [["97.0", "1.0"]], []),
        snapshot(101, 60, [["90.0", "1.0"]], [["91.0", "1.0"]]),
        diff(200, 59, 62, [["89.0", "5.0"]], []),
    ]
    path = write_capture(tmp_path / "a.gz", recorded)
    async with serving(captures=[str(path)], speed=None, settle_ms=50) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws/btcusdt@depth@100ms")
        await messages(socket, 3)
        _, body, _ = await client.get("/api/v3/depth?symbol=BTCUSDT")
        assert body == {"lastUpdateId": 62, "bids": [["90.0", "1.0"], ["89.0", "5.0"]], "asks": [["91.0", "1.0"]]}
