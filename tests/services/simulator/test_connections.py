"""Connections and their hub, without a socket: order, framing, limits, who gets what and what waits for whom."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Iterator

import pytest
from marketpipeline.simulator.connections import MAX_HELD, Connection, Hub, SocketWriter
from marketpipeline.simulator.frames import PING, PONG, TEXT, Frame, Kind, header
from marketpipeline.simulator.protocols import protocols
from marketpipeline.simulator.protocols.binance.session import BinanceSession
from marketpipeline.simulator.protocols.binance.wire import in_other_unit

from tests.services.simulator.client import diff, trade

PROTOCOL = protocols()["binance"]


def connection(number: int = 1, *, combined: bool = True, microseconds: bool = False) -> Connection:
    return Connection(number, BinanceSession((), 10, combined=combined, microseconds=microseconds))


def frame(line: tuple[int, str]) -> Frame:
    read = PROTOCOL.read(0, line[1].encode())
    assert read is not None
    return read


def parse(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Opcode and payload of unmasked WebSocket frames, after RFC 6455."""
    while data:
        assert data[0] & 0x80, "final"
        length, start = data[1], 2
        assert length < 128, "a server does not mask"
        if length == 126:
            (length,), start = struct.unpack(">H", data[2:4]), 4
        elif length == 127:
            (length,), start = struct.unpack(">Q", data[2:10]), 10
        yield data[0] & 0x0F, data[start : start + length]
        data = data[start + length :]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 4095, 4096, 65535, 65536, 100_000])
def test_framing(length: int) -> None:
    payload = b"x" * length
    assert list(parse(header(length) + payload)) == [(TEXT, payload)]


def test_everything_goes_out_in_the_order_it_was_put() -> None:
    one = connection()
    first, second = frame(trade(0, 1)), frame(trade(1, 2))
    one.put(first)
    one.answer_ping(b"abc")
    one.put(second)
    one.put_control(TEXT, b'{"result":null,"id":1}')
    sent = [(TEXT, first.message), (PONG, b"abc"), (TEXT, second.message), (TEXT, b'{"result":null,"id":1}')]
    assert list(parse(one.take())) == sent
    assert one.take() == b""
    assert one.frames_sent == 2


def test_bare_and_in_microseconds() -> None:
    given = frame(trade(5, 1))
    bare, fine, both = (
        connection(combined=False),
        connection(microseconds=True),
        connection(combined=False, microseconds=True),
    )
    for one in (bare, fine, both):
        one.put(given)
    ((_, bare_text),), ((_, fine_text),), ((_, both_text),) = (list(parse(one.take())) for one in (bare, fine, both))
    assert bare_text == given.payload
    assert fine_text == in_other_unit(given)
    assert both_text == fine_text[given.start : -1]
    assert both_text.startswith(b'{"e":"trade","E":1700000000005000')
    assert both_text.endswith(b"}")


def test_pongs_answer_pings() -> None:
    one = connection()
    assert one.owes_pong_since() is None
    one.ping(10.0)
    ((opcode, payload),) = parse(one.take())
    assert opcode == PING
    assert payload
    one.pong(b"unasked")
    assert one.owes_pong_since() == 10.0
    one.pong(payload)
    assert one.owes_pong_since() is None


def test_five_messages_a_second() -> None:
    one = connection()
    assert [one.admits(at, 5) for at in (0.0, 0.1, 0.2, 0.3, 0.4)] == [True] * 5
    assert not one.admits(0.9, 5)
    two = connection()
    assert all(two.admits(number * 0.21, 5) for number in range(50))


class Recorder:
    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        return None


def add(hub: Hub, one: Connection, *streams: str) -> Recorder:
    recorder = Recorder()
    hub.add(one, SocketWriter(recorder.write, recorder.drain))
    hub.subscribe(one, streams)
    return recorder


def test_only_subscribed_streams_are_sent() -> None:
    hub = Hub(PROTOCOL.diff_symbol)
    first, second = connection(1), connection(2)
    trades, both = add(hub, first, "btcusdt@trade"), add(hub, second, "btcusdt@trade", "ethusdt@trade")
    btc, eth = frame(trade(0, 1)), frame(trade(0, 2, symbol="ETHUSDT"))
    hub.dispatch([btc, eth])
    hub.write()
    assert [text for _, text in parse(trades.data)] == [btc.message]
    assert [text for _, text in parse(both.data)] == [btc.message, eth.message]
    hub.unsubscribe(second, ["btcusdt@trade", "never@trade"])
    hub.remove(first)
    hub.remove(first)
    assert list(hub.routes) == ["ethusdt@trade"]
    assert hub.frames_sent == 1, "what a connection that is gone was sent"


def test_a_new_reader_of_changes_is_to_ask_for_the_book() -> None:
    hub = Hub(PROTOCOL.diff_symbol)
    add(hub, connection(), "btcusdt@depth@100ms", "ethusdt@trade")
    change = frame(diff(0, 1, 2, [], []))
    assert hub.awaits_snapshot(change)
    assert not hub.awaits_snapshot(frame(trade(0, 1)))
    hub.synced("BTCUSDT")
    assert not hub.awaits_snapshot(change)


async def test_a_slowed_connection_writes_late_and_in_order() -> None:
    hub = Hub(PROTOCOL.diff_symbol)
    one = connection()
    recorder = add(hub, one, "btcusdt@trade")
    one.slow_down(0.1, 0.25, time.monotonic())
    began = time.monotonic()
    hub.dispatch([frame(trade(0, 1))])
    one.answer_ping(b"p")
    hub.write()
    assert recorder.data == b""
    await hub.flush()
    assert time.monotonic() - began >= 0.09
    assert [opcode for opcode, _ in parse(recorder.data)] == [TEXT, PONG]


async def test_what_a_slowed_connection_holds_back_is_bounded() -> None:
    hub = Hub(PROTOCOL.diff_symbol)
    one = connection()
    recorder = add(hub, one, "btcusdt@trade")
    one.slow_down(0.2, 1.0, time.monotonic())
    big = Frame(0, "btcusdt@trade", "BTCUSDT", Kind.OTHER, 0, b"x" * (MAX_HELD + 1), 0, 1)
    hub.dispatch([big])
    await asyncio.wait_for(hub.drain(), 5)
    assert len(recorder.data) > MAX_HELD
