"""Who gets which frame, and what waits for whom; without a socket."""

from __future__ import annotations

import asyncio
import time

from marketpipeline.simulator.connections import Connection
from marketpipeline.simulator.frames import PONG, TEXT, Frame, Kind
from marketpipeline.simulator.hub import MAX_HELD, Hub, Sink

from tests.services.simulator.client import diff, trade
from tests.services.simulator.test_connections import PROTOCOL, connection, frame, parse


class Recorder:
    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        return None


def add(hub: Hub, one: Connection, *streams: str) -> Recorder:
    recorder = Recorder()
    hub.add(one, Sink(recorder.write, recorder.drain), streams)
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
