"""Captured messages as frames, and what follows from them."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from marketpipeline.simulator.events import BookDiff, Trade
from marketpipeline.simulator.frames import Kind
from marketpipeline.simulator.protocols.okx import PROTOCOL

from tests.services.simulator.client import client_of, serving


def test_the_capture(capture: Callable[[str], Path]) -> None:
    kinds: Counter[str] = Counter()
    with gzip.open(capture("okx_20220513.gz")) as lines:
        for line in lines:
            frame = PROTOCOL.read(0, line.split(b" ", 1)[1].rstrip())
            kinds["none" if frame is None else f"{frame.kind.name} {frame.stream.partition(':')[0]}"] += 1
            if frame is not None and frame.kind in (Kind.TRADE, Kind.DIFF):
                (event,) = PROTOCOL.events(frame)
                assert isinstance(event, Trade | BookDiff)
                assert event.event_time == frame.event_time
    assert kinds == {
        "none": 18, "SNAPSHOT books": 3, "DIFF books": 287, "TRADE trades": 74, "OTHER tickers": 28,
    }  # fmt: skip


def test_trades_that_are_told_together_are_no_trades_alone() -> None:
    row = b'{"instId":"A-B","tradeId":"9","px":"1","sz":"1","side":"buy","ts":"1652459225393"%b}'
    message = b'{"arg":{"channel":"trades","instId":"A-B"},"data":[' + row + b"]}"
    frame = PROTOCOL.read(0, message % b',"count":"3"')
    assert frame is not None
    assert frame.kind is Kind.AGG_TRADE
    assert PROTOCOL.events(frame)[0][3:5] == (7, 9)


@pytest.mark.parametrize(
    "message",
    [b"{", b'{"foo":1}', b'{"stream":"btcusdt@trade","data":{}}', b'{"arg":{"channel":"trades"},"data":[{}]}'],
)
def test_what_is_of_another_exchange_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match="must be a message of OKX v5"):
        PROTOCOL.read(0, message)


def test_rest_books_are_read_and_other_answers_left_out() -> None:
    body = b'{"code":"0","msg":"","data":[{"asks":[["2","1","0","1"]],"bids":[],"ts":"1652459225393","seqId":5}]}'
    frame = PROTOCOL.read_rest(0, "https://x/api/v5/market/books?instId=A-B&sz=400", body)
    assert frame is not None
    assert (frame.symbol, frame.stream, PROTOCOL.events(frame)[0][0]) == ("A-B", "", 5)
    assert PROTOCOL.read_rest(0, "https://x/api/v5/public/time", b"{}") is None
    with pytest.raises(ValueError, match="OKX"):
        PROTOCOL.read_rest(0, "https://x/api/v3/depth?symbol=A", b"{}")


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        ("books5:A-B", "partial"),
        ("bbo-tbt:A-B", "partial"),
        ("tickers:A-B", "statistics"),
        ("candle1m:A-B", "candle"),
        ("candle1H:A-B", "candle"),
        ("trades-all:A-B", "trade"),
        ("books:A-B", None),
        ("candle7m:A-B", None),
        ("books5", None),
    ],
)
def test_what_follows_from_other_streams(stream: str, kind: str | None) -> None:
    found = PROTOCOL.derive(stream)
    assert (found and found.kind) == kind


@pytest.mark.parametrize("captured", [True, False])
async def test_each_trade_of_a_capture_alone_and_of_a_simulation_once(
    capture: Callable[[str], Path], captured: bool
) -> None:
    """`trades-all` follows from the capture's `trades`; a simulated market tells it by itself."""
    settings: dict[str, Any] = {"symbols": ["BTC-USDT"], "speed": 20.0}
    if captured:
        settings = {"captures": [str(capture("okx_20220513.gz"))], "speed": None, "settle_ms": 50}
    ids: list[int] = []
    async with serving(exchange="okx", **settings) as exchange, client_of(exchange) as client:
        socket = await client.connect("/ws/v5/business")
        await socket.send_str('{"op":"subscribe","args":[{"channel":"trades-all","instId":"BTC-USDT"}]}')
        async with asyncio.timeout(20):
            while len(ids) < 69:
                body = msgspec.json.decode((await socket.receive()).data)
                ids += [int(row["tradeId"]) for row in body.get("data", [])]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
