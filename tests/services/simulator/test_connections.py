"""Connections and their hub, without a socket: order, framing, limits and who gets what."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from marketpipeline.simulator.connections import Connection
from marketpipeline.simulator.frames import PING, PONG, TEXT, Frame, header
from marketpipeline.simulator.protocols import ConnectionOptions, protocols

from tests.services.simulator.client import trade

PROTOCOL = protocols()["binance"]


def connection(number: int = 1, *, combined: bool = True, microseconds: bool = False) -> Connection:
    options = ConnectionOptions(combined, microseconds)
    return Connection(number, options, PROTOCOL.session(options, 10), PROTOCOL)


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
    assert fine_text == PROTOCOL.in_other_unit(given)
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
