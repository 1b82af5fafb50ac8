"""The contract of a protocol holds an exchange unlike Binance, one from outside the package."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from marketpipeline.errors import InvalidCapture, InvalidInput
from marketpipeline.simulator.main import SimulatedExchange
from marketpipeline.simulator.protocols import protocols

from tests.services.simulator.client import START, Client, client_of, eventually, serving, trade, write_capture
from tests.services.simulator.protocols.pushing import message

SYMBOL = "BTC-USDT"


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The protocol as the entry point of an installed distribution."""
    metadata = tmp_path / "pushing-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: pushing\nVersion: 1.0\n")
    target = "tests.services.simulator.protocols.pushing:PROTOCOL"
    (metadata / "entry_points.txt").write_text(f"[marketpipeline.simulator.protocols]\npushing = {target}\n")
    monkeypatch.syspath_prepend(tmp_path)
    protocols.cache_clear()
    yield
    protocols.cache_clear()


@pytest.fixture
async def exchange() -> AsyncIterator[SimulatedExchange]:
    async with serving(exchange="pushing", symbols=[SYMBOL], speed=20.0) as found:
        yield found


async def subscribed(client: Client, path: str, *channels: str) -> aiohttp.ClientWebSocketResponse:
    socket = await client.connect(path)
    arguments = [{"channel": channel, "instId": SYMBOL} for channel in channels]
    await socket.send_str(json.dumps({"op": "subscribe", "args": arguments}))
    return socket


async def first(socket: aiohttp.ClientWebSocketResponse, wanted: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(10):
        while True:
            found = await socket.receive_json()
            if wanted(found):
                return found


def test_it_is_found_by_name() -> None:
    assert list(protocols()) == ["binance", "okx", "pushing"]


async def test_each_argument_is_acknowledged_and_an_address_has_its_own_channels(exchange: SimulatedExchange) -> None:
    async with client_of(exchange) as client:
        socket = await subscribed(client, "/v5/public", "trades", "candle1m", "tickers")
        acks = [await first(socket, lambda m: "event" in m) for _ in range(3)]
        assert [ack["event"] for ack in acks] == ["subscribe", "error", "subscribe"]
        candles = await subscribed(client, "/v5/business", "candle1m")
        assert (await first(candles, lambda m: "data" in m))["arg"]["channel"] == "candle1m"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await client.connect("/ws")


async def test_a_book_starts_with_a_pushed_snapshot_and_every_change_names_the_one_before(
    exchange: SimulatedExchange,
) -> None:
    async with client_of(exchange) as client:
        await subscribed(client, "/v5/public", "trades")
        await eventually(lambda: exchange.timeline.elapsed > 2, "the market has gone on")
        socket = await subscribed(client, "/v5/public", "books")
        last = None
        for number in range(20):
            data = await first(socket, lambda m: "data" in m)
            (row,) = data["data"]
            assert data["action"] == ("update" if number else "snapshot")
            assert last is None or row["prevSeqId"] == last
            last = row["seqId"]


async def test_a_text_ping_keeps_a_connection_that_would_be_closed_when_idle(exchange: SimulatedExchange) -> None:
    async with client_of(exchange) as client:
        idle, living = await client.connect("/v5/public"), await client.connect("/v5/public")
        while len(exchange.hub.connections) > 1:
            await living.send_str("ping")
            assert await living.receive_str(timeout=5) == "pong"
            await asyncio.sleep(0.1)
        closed = await idle.receive(timeout=5)
        assert (closed.type, closed.extra) == (aiohttp.WSMsgType.CLOSE, "No message from the client")


def pushed_capture(path: Path) -> Path:
    row = {"px": "100", "sz": "1", "side": "buy", "ts": str(START)}
    frames = [
        b'{"event":"subscribe","arg":{"channel":"books"}}',
        message(0, "books", SYMBOL, [{"bids": [["99", "1"]], "asks": [], "seqId": 7}], 0, action="snapshot").message,
        message(0, "trades", SYMBOL, [row | {"tradeId": str(number)} for number in (1, 2, 3)], 0).message,
        message(0, "trades", SYMBOL, [row | {"tradeId": str(number)} for number in (4, 5)], 0).message,
    ]
    lines = [b"%d %b\n" % ((START + number) * 1_000_000, frame) for number, frame in enumerate(frames)]
    path.write_bytes(gzip.compress(b"".join(lines)))
    return path


async def test_a_capture_with_pushed_snapshots_and_several_trades_a_message(tmp_path: Path) -> None:
    path = str(pushed_capture(tmp_path / "a.gz"))
    async with serving(exchange="pushing", captures=[path], speed=None, settle_ms=50) as exchange:
        assert exchange.source.streams == {f"books:{SYMBOL}", f"trades:{SYMBOL}"}
        async with client_of(exchange) as client:
            await subscribed(client, "/v5/public", "books", "trades")
            await eventually(lambda: exchange.timeline.finished, "the replay has ended")
            _, body, _ = await client.get(f"/api/v5/market/history-trades?instId={SYMBOL}&after=3")
            assert [trade["tradeId"] for trade in body["data"]] == ["3", "4", "5"]
            assert exchange.market.depth(SYMBOL, 5).last_id == 7


async def test_of_the_captures_of_two_exchanges_each_replays_its_own(tmp_path: Path) -> None:
    """As a run with two exchanges starts them: each with all captures, and the names of the others."""
    pushed, other = pushed_capture(tmp_path / "a.gz"), write_capture(tmp_path / "b.gz", [trade(0, 1), trade(1, 2)])
    paths = [str(pushed), str(other)]
    for name, others, symbols in (("pushing", ["binance"], [SYMBOL]), ("binance", ["pushing"], ["BTCUSDT"])):
        async with serving(exchange=name, other_exchanges=others, captures=paths) as exchange:
            assert exchange.source.symbols == symbols


@pytest.mark.parametrize(
    ("captures", "said"),
    [
        (["a.gz"], "must hold a capture of binance: each exchange of the pipeline needs one"),
        (["a.gz", "b.gz", "neither.gz"], "neither.gz"),
        (["a.gz", "b.gz", "absent.gz"], "must be readable: No such file"),
    ],
)
async def test_captures_that_no_exchange_of_the_run_can_replay(tmp_path: Path, captures: list[str], said: str) -> None:
    pushed_capture(tmp_path / "a.gz")
    write_capture(tmp_path / "b.gz", [trade(0, 1)])
    write_capture(tmp_path / "neither.gz", [(0, '{"topic":"publicTrade"}')])
    paths = [str(tmp_path / name) for name in captures]
    with pytest.raises((InvalidInput, InvalidCapture), match=said):
        async with serving(exchange="binance", other_exchanges=["pushing"], captures=paths):
            pass
