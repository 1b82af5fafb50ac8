"""Every fault as a client meets it, planned and on request; the market itself stays whole."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.simulator.faults import FAULTS, FaultContext, Faults
from marketpipeline.simulator.frames import Frame, Kind
from marketpipeline.simulator.schedule import parse

from tests.services.simulator.client import START, client_of, diff, eventually, messages, serving, trade, write_capture

STREAMS = "/stream?streams=btcusdt@trade/btcusdt@depth@100ms/ethusdt@trade/ethusdt@depth@100ms"


class Wall:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class NoServer:
    """Faults on messages ask nothing of the server."""

    def break_connections(self, refuse_seconds: float) -> None:
        raise NotImplementedError

    def slow_down(self, delay: float, seconds: float) -> None:
        raise NotImplementedError

    def limit(self, seconds: float, *, ban: bool) -> None:
        raise NotImplementedError

    def shut_down(self, after: float) -> None:
        raise NotImplementedError

    def delist(self, symbol: str, seconds: float) -> None:
        raise NotImplementedError

    def forget(self, stream: str) -> None:
        raise NotImplementedError

    def move(self, stream: str, to: str) -> None:
        raise NotImplementedError

    def scale_volume(self, symbol: str, factor: float) -> None:
        raise NotImplementedError

    def spoil_trade(self, symbol: str) -> None:
        raise NotImplementedError


BROKEN = Frame(0, "s", "BTCUSDT", Kind.OTHER, 0, b"{}", 0, 2)


class Messages:
    """A market whose trades can be broken and whose quotes have a wrong value."""

    def malform(self, frame: Frame) -> list[Frame]:
        return [BROKEN, BROKEN]

    def spoil(self, frame: Frame, value: str) -> Frame | None:
        return BROKEN if frame.kind is Kind.QUOTE else None


class Fired:
    """Faults that act on frames given by hand, with a wall clock set by hand."""

    def __init__(self, *texts: str) -> None:
        self.wall = Wall()
        context = FaultContext(NoServer(), ["BTCUSDT", "ETHUSDT"], Messages(), self.wall)
        self.faults = Faults([parse(text, "fault", FAULTS) for text in texts], context)
        self.faults.progress(0.0)

    def sent(self, *frames: Frame) -> list[int]:
        """How many times each frame is sent."""
        return [sum(one is given for one in self.faults.filter([given])) for given in frames]


def given(kind: Kind, symbol: str = "BTCUSDT", stream: str = "s") -> Frame:
    return Frame(0, stream, symbol, kind, 0, b"{}", 0, 2)


def test_a_gap_counts_changes_and_trades_of_one_symbol() -> None:
    fired = Fired("gap:count=2")
    assert fired.sent(given(Kind.QUOTE), given(Kind.OTHER), given(Kind.TRADE, "ETHUSDT")) == [1, 1, 1]
    assert fired.sent(*(given(Kind.DIFF) for _ in range(4))) == [0, 0, 1, 1]
    assert fired.faults.acting
    assert fired.sent(*(given(Kind.TRADE) for _ in range(4))) == [0, 0, 1, 1]
    assert not fired.faults.acting


def test_a_gap_of_one_feed() -> None:
    fired = Fired("gap:count=2,feed=book")
    assert fired.sent(given(Kind.TRADE), given(Kind.DIFF), given(Kind.DIFF), given(Kind.DIFF)) == [1, 0, 0, 1]


def test_a_gap_ends_also_where_no_trade_comes() -> None:
    fired = Fired("gap:count=2,seconds=30")
    fired.wall.now = 30.0
    assert fired.sent(given(Kind.DIFF)) == [1]
    assert not fired.faults.acting


def test_duplicates_count_messages_of_every_kind() -> None:
    fired = Fired("duplicate:count=2")
    frames = [given(Kind.TRADE), given(Kind.TRADE, "ETHUSDT"), given(Kind.QUOTE), given(Kind.DIFF)]
    assert fired.sent(*frames) == [2, 1, 2, 1]
    assert not fired.faults.acting


def test_broken_copies_follow_a_trade_that_arrives_whole() -> None:
    faults = Fired("malformed").faults
    quote, first, second = given(Kind.QUOTE), given(Kind.TRADE), given(Kind.TRADE)
    assert faults.filter([quote]) == [quote]
    assert faults.filter([first, second]) == [first, BROKEN, BROKEN, second]
    assert not faults.acting


def test_a_wrong_value_comes_in_place_of_the_message_where_it_can_be() -> None:
    faults = Fired("wrong-value:value=one-sided,count=2").faults
    trade_, other, quotes = given(Kind.TRADE), given(Kind.QUOTE, "ETHUSDT"), [given(Kind.QUOTE) for _ in range(3)]
    assert faults.filter([trade_, other, *quotes]) == [trade_, other, BROKEN, BROKEN, quotes[2]]
    assert Fired("wrong-value:feed=trades").sent(quotes[0]) == [1], "another feed than the one that is meant"


def test_silence_of_a_stream_or_of_a_symbol() -> None:
    stream, symbol = Fired("silent:stream=a@trade,seconds=5"), Fired("silent:seconds=5")
    frames = [given(Kind.TRADE, stream="a@trade"), given(Kind.DIFF), given(Kind.DIFF, "ETHUSDT")]
    assert stream.sent(*frames) == [0, 1, 1]
    assert symbol.sent(*frames) == [0, 0, 1]
    symbol.wall.now = 5.0
    assert symbol.sent(*frames) == [1, 1, 1]
    assert not symbol.faults.acting


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """Ten seconds of two symbols: a trade and a book change of each every 100 ms."""
    lines = []
    for number in range(1, 101):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            lines.append(trade(number * 100, number, symbol=symbol))
            lines.append(diff(number * 100, number * 2 - 1, number * 2, [["99.0", f"{number}.0"]], [], symbol=symbol))
    return str(write_capture(tmp_path / "a.gz", lines))


async def replay(recording: str, *faults: str) -> list[Any]:
    """All that a client gets; speed 50, so 10 s take 0.2 s."""
    async with (
        serving(captures=[recording], speed=50.0, settle_ms=50, faults=list(faults)) as exchange,
        client_of(exchange) as client,
    ):
        socket = await client.connect(STREAMS)
        await eventually(lambda: exchange.timeline.finished, "the replay has ended")
        await socket.ping(b"end")
        found: list[Any] = []
        async with asyncio.timeout(10):
            while (message := await _next(socket)) is not None:
                found.append(message)
        return found


async def _next(socket: aiohttp.ClientWebSocketResponse) -> Any:
    try:
        message = await socket.receive(timeout=0.3)
    except TimeoutError:
        return None
    if message.type is not aiohttp.WSMsgType.TEXT:
        return None
    try:
        return json.loads(message.data)
    except ValueError:
        return message.data


def ids(found: list[Any], symbol: str) -> list[int]:
    return [m["data"]["t"] for m in found if m["stream"] == f"{symbol}@trade"]


def spans(found: list[Any], symbol: str) -> list[tuple[int, int]]:
    return [(m["data"]["U"], m["data"]["u"]) for m in found if m["stream"] == f"{symbol}@depth@100ms"]


async def test_without_a_fault_everything_comes_once(recording: str) -> None:
    found = await replay(recording)
    assert ids(found, "btcusdt") == ids(found, "ethusdt") == list(range(1, 101))
    assert len(spans(found, "btcusdt")) == 100


async def test_a_gap_is_of_one_symbol_and_of_the_size_asked_for(recording: str) -> None:
    found = await replay(recording, "gap:symbol=ETHUSDT,count=4@5s")
    lost = set(range(1, 101)) - set(ids(found, "ethusdt"))
    assert lost == {51, 52, 53, 54}, "from 5 s after the first frame on"
    holes = [(before[1], after[0]) for before, after in pairwise(spans(found, "ethusdt")) if after[0] != before[1] + 1]
    assert holes == [(100, 109)]
    assert ids(found, "btcusdt") == list(range(1, 101))


async def test_duplicates(recording: str) -> None:
    found = await replay(recording, "duplicate:count=6@2s")
    texts = Counter(json.dumps(m) for m in found)
    doubled = [json.loads(text) for text, count in texts.items() if count == 2]
    assert len(doubled) == 6
    assert {m["data"]["E"] for m in doubled} == {START + at for at in (2_100, 2_200, 2_300)}
    assert {m["data"]["s"] for m in doubled} == {"BTCUSDT"}, "the first symbol, when none is named"
    assert max(texts.values()) == 2


async def test_malformed_messages_come_on_top(recording: str) -> None:
    found = await replay(recording, "malformed:count=2@2s")
    text = [m for m in found if isinstance(m, str)]
    good = [m for m in found if not isinstance(m, str)]
    assert len(text) == 4, "two that are not JSON after each of two trades"
    odd = [m for m in good if m["stream"] == "btcusdt@trade" and not _sound(m["data"])]
    assert len(odd) == 8
    sound = [m for m in good if m["stream"] != "btcusdt@trade" or _sound(m["data"])]
    assert ids(sound, "btcusdt") == list(range(1, 101))


def _sound(data: dict[str, Any]) -> bool:
    return data["p"] == "100.00" and data["q"] == "1.0" and data["s"] == "BTCUSDT" and "t" in data


async def test_a_silent_stream(recording: str) -> None:
    found = await replay(recording, "silent:stream=btcusdt@trade,seconds=60@5s")
    assert ids(found, "btcusdt") == list(range(1, 51))
    assert len(spans(found, "btcusdt")) == len(ids(found, "ethusdt")) == 100


async def test_a_disconnect_and_refused_connections_while_the_market_goes_on(recording: str) -> None:
    async with (
        serving(captures=[recording], speed=20.0, settle_ms=50, faults=["disconnect:refuse=0.3@4s"]) as exchange,
        client_of(exchange) as client,
    ):
        socket = await client.connect(STREAMS)
        found: list[Any] = []
        async with asyncio.timeout(10):
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                found.append(json.loads(message.data))
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR), "without a close frame"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await client.connect(STREAMS)
        await eventually(lambda: exchange.timeline.finished, "it goes on")
        first = ids(found, "btcusdt")[-1] + 1
        _, trades, _ = await client.get(f"/api/v3/historicalTrades?symbol=BTCUSDT&fromId={first}")
        assert ids(found, "btcusdt") + [t["id"] for t in trades] == list(range(1, 101))
        await eventually(lambda: not exchange.server.admission.refuses_connections(), "connections are accepted again")
        await client.connect(STREAMS)


async def test_slow_comes_late_but_whole(recording: str) -> None:
    async with (
        serving(captures=[recording], speed=20.0, settle_ms=50, faults=["slow:delay=0.2,seconds=0.5@1s"]) as exchange,
        client_of(exchange) as client,
    ):
        socket = await client.connect(STREAMS)
        arrivals = []
        for number in range(1, 101):
            while (await messages(socket, 1))[0]["stream"] != "btcusdt@trade":
                pass
            arrivals.append((number, time.monotonic()))
        pauses = [after - before for (_, before), (_, after) in pairwise(arrivals)]
        assert sum(pause > 0.15 for pause in pauses) >= 2
        assert exchange.timeline.finished or exchange.timeline.elapsed > 9


@pytest.mark.parametrize(("name", "status"), [("rate-limit", 429), ("429", 429), ("ban", 418), ("418", 418)])
async def test_rest_refused_for_a_while(name: str, status: int) -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        assert (await client.post(f"/control/faults/{name}?seconds=1"))[0] == 200
        answer, body, headers = await client.get("/api/v3/time")
        assert (answer, body["code"]) == (status, -1003)
        assert headers["Retry-After"] == "1"
        async with asyncio.timeout(5):
            while (await client.get("/api/v3/time"))[0] != 200:  # noqa: ASYNC110 - a bounded poll
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(("path", "combined"), [("/stream", True), ("/ws", False)])
async def test_a_shutdown_is_announced_and_then_happens_to_those_who_were_told(path: str, combined: bool) -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        told = await client.connect(path)
        assert (await client.post("/control/faults/shutdown?after=0.3"))[0] == 200
        (notice,) = await messages(told, 1)
        if combined:
            assert notice["stream"] == "!serverShutdown"
            notice = notice["data"]
        assert notice["e"] == "serverShutdown"
        assert abs(notice["E"] - time.time() * 1000) < 20_000
        fresh = await client.connect("/ws/btcusdt@bookTicker")
        message = await asyncio.wait_for(told.receive(), 5)
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert message.data == aiohttp.WSCloseCode.GOING_AWAY
        await messages(fresh, 2)


async def test_faults_fired_are_told() -> None:
    async with serving(symbols=["BTCUSDT", "ETHUSDT"]) as exchange, client_of(exchange) as client:
        _, about, _ = await client.get("/control/faults")
        assert set(about) == set(FAULTS)
        assert all(about.values())
        await client.post("/control/faults/gap?symbol=ETHUSDT&count=2")
        (fired,) = (await client.status())["faults"]
        assert (fired["fault"], fired["symbol"], fired["count"]) == ("gap", "ETHUSDT", 2)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/control/faults/gpa", 404, "did you mean 'gap'?"),
        ("/control/faults/gap?count=0", 400, "gap.count: '0': must be `int` >= 1"),
        ("/control/faults/gap?symbol=XRPUSDT", 400, "must be one of BTCUSDT"),
        ("/control/faults/moved?stream=btcusdt@trade", 400, "to: '': must be a part of the URL"),
        ("/control/faults/gap?colour=red", 400, "known: count, feed, seconds, symbol"),
        ("/control/scenarios/whael", 404, "did you mean 'whale'?"),
        ("/control/scenarios/whale?side=up", 400, "must be one of buy, sell"),
        ("/control/scenarios/whale?symbol=XRPUSDT", 400, "must be one of BTCUSDT"),
    ],
)
async def test_what_cannot_be_fired(path: str, status: int, said: str) -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        answer, body = await client.post(path)
        assert answer == status
        assert said in body["error"]


async def test_scenarios_at_once_and_not_in_a_replay(recording: str) -> None:
    async with serving(symbols=["BTCUSDT"], scenarios=["calm"]) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws/btcusdt@trade")
        assert (await client.post("/control/scenarios/whale?notional=500000"))[0] == 200
        async with asyncio.timeout(5):
            while True:
                (one,) = await messages(socket, 1)
                if float(one["p"]) * float(one["q"]) > 400_000:
                    break
        assert (await client.status())["scenarios"][-1]["scenario"] == "whale"
    async with serving(captures=[recording]) as exchange, client_of(exchange) as client:
        assert (await client.post("/control/scenarios/whale"))[0] == 409


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"faults": ["gpa@3s"]}, "did you mean 'gap'?"),
        ({"faults": ["gap:symbol=XRPUSDT@3s"]}, "must be one of BTCUSDT"),
        ({"faults": ["gap:count=-1@3s"]}, "must be `int` >= 1"),
        ({"scenarios": ["wale"]}, "did you mean 'whale'?"),
    ],
)
async def test_what_is_planned_is_checked_before_anything_is_served(values: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        async with serving(symbols=["BTCUSDT"], **values):
            pass
    assert said in str(caught.value)


async def test_a_replay_takes_no_scenarios(recording: str) -> None:
    with pytest.raises(InvalidInput, match="is for a simulated market"):
        async with serving(captures=[recording], scenarios=["whale"]):
            pass


@pytest.mark.parametrize(
    ("value", "stream", "wrong"),
    [
        ("ahead", "depth@100ms", lambda data: data["E"] > START + 86_000_000),
        ("behind", "trade", lambda data: data["E"] < START - 86_000_000),
        ("nanoseconds", "trade", lambda data: data["E"] > START * 10**6 and data["T"] > START * 10**6),
        ("zero-quantity", "trade", lambda data: float(data["q"]) == 0),
    ],
)
async def test_wrong_values_on_the_wire(
    recording: str, value: str, stream: str, wrong: Callable[[dict[str, Any]], bool]
) -> None:
    feed = "book" if stream == "depth@100ms" else "trades"
    found = await replay(recording, f"wrong-value:value={value},feed={feed},count=2@5s")
    data = [m["data"] for m in found if m["stream"] == f"btcusdt@{stream}"]
    assert len(data) == 100
    assert [number for number, one in enumerate(data) if wrong(one)] == [50, 51]


async def test_a_quote_without_its_bid() -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws/btcusdt@bookTicker")
        await client.post("/control/faults/wrong-value?value=one-sided")
        async with asyncio.timeout(10):
            while float((quote := (await messages(socket, 1))[0])["b"]):
                pass
        assert float(quote["B"]) == 0
        assert float(quote["a"]) > 0


async def test_a_delisted_symbol_is_unknown_and_silent_and_comes_back() -> None:
    async with serving(symbols=["BTCUSDT", "ETHUSDT"], speed=20.0) as exchange, client_of(exchange) as client:
        await client.post("/control/faults/delist?symbol=ETHUSDT&seconds=1")
        socket = await client.connect("/stream?streams=btcusdt@bookTicker/ethusdt@bookTicker")
        _, refused, _ = await client.get("/api/v3/depth?symbol=ETHUSDT")
        assert refused["code"] == -1121
        _, info, _ = await client.get("/api/v3/exchangeInfo")
        assert [symbol["symbol"] for symbol in info["symbols"]] == ["BTCUSDT"]
        streams = [message["stream"] for message in await messages(socket, 10)]
        assert set(streams) == {"btcusdt@bookTicker"}
        async with asyncio.timeout(10):
            while (await messages(socket, 1))[0]["stream"] != "ethusdt@bookTicker":
                pass
        assert (await client.get("/api/v3/depth?symbol=ETHUSDT"))[0] == 200


async def test_a_stream_that_was_moved_is_carried_at_one_address_alone() -> None:
    """By host, where every request is acknowledged; by path, where one at the wrong address is refused."""
    async with serving(symbols=["BTCUSDT"], speed=20.0) as exchange, client_of(exchange) as client:
        streams = "/stream?streams=btcusdt@trade/btcusdt@bookTicker"
        here = await client.connect(streams)
        await client.post("/control/faults/moved?stream=btcusdt@trade&to=localhost")
        there = await client.http.ws_connect(exchange.url.replace("127.0.0.1", "localhost") + streams)
        async with asyncio.timeout(20):
            while (await there.receive_json())["stream"] != "btcusdt@trade":
                pass
        late = await client.connect(streams)
        assert {message["stream"] for message in await messages(late, 30)} == {"btcusdt@bookTicker"}
        while exchange.hub.connections[1].streams != {"btcusdt@bookTicker": None}:
            await messages(here, 1)
    async with serving(exchange="okx", symbols=["BTC-USDT"], speed=20.0) as exchange, client_of(exchange) as client:
        await client.post("/control/faults/moved?stream=trades-all:BTC-USDT&to=/public")
        asked = {"op": "subscribe", "args": [{"channel": "trades-all", "instId": "BTC-USDT"}]}
        answers = []
        for path in ("business", "public"):
            socket = await client.connect(f"/ws/v5/{path}")
            await socket.send_json(asked)
            answers.append((await messages(socket, 1))[0])
    assert [(answer["event"], answer.get("code")) for answer in answers] == [("error", "60018"), ("subscribe", None)]


async def test_a_page_of_trades_with_one_row_that_cannot_be(recording: str) -> None:
    async with serving(captures=[recording], speed=1000.0, settle_ms=50) as exchange, client_of(exchange) as client:
        await client.connect(STREAMS)
        await eventually(lambda: exchange.timeline.finished, "the replay has ended")
        await client.post("/control/faults/bad-row?symbol=BTCUSDT")
        for first, last in ((3, 6), (1, 10), (5, 5)):
            query = f"symbol=BTCUSDT&fromId={first}&limit={last - first + 1}"
            _, page, _ = await client.get(f"/api/v3/historicalTrades?{query}")
            assert [row["id"] for row in page] == list(range(first, last + 1))
            assert [row["id"] for row in page if float(row["qty"]) == 0] == [5], "the same one each time"
        _, others, _ = await client.get("/api/v3/historicalTrades?symbol=ETHUSDT&fromId=3&limit=4")
        assert all(float(row["qty"]) for row in others)
