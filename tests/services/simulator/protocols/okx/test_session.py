"""Control messages: each argument is answered by itself, errors name what they are about."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from marketpipeline.simulator.events import BookSnapshot
from marketpipeline.simulator.market_state import MarketState
from marketpipeline.simulator.protocols.okx import PROTOCOL
from marketpipeline.simulator.protocols.okx.session import REQUESTS, OkxSession, open_session

MARKET = MarketState(PROTOCOL.events, ["BTC-USDT", "ETH-USDT"], 100)


def session(path: str = "/ws/v5/public") -> OkxSession:
    found = open_session(path, MARKET)
    assert found is not None
    return found


def ask(one: OkxSession, op: str, *streams: str, now: float = 0.0) -> tuple[list[Any], tuple[str, ...]]:
    arguments = [dict(zip(("channel", "instId"), stream.split(":"), strict=True)) for stream in streams]
    response = one.receive(msgspec.json.encode({"op": op, "args": arguments}), now)
    return [msgspec.json.decode(reply) for reply in response.replies], response.subscribe or response.unsubscribe


def test_each_argument_is_acknowledged_and_unsubscribed() -> None:
    one = session()
    replies, new = ask(one, "subscribe", "books:BTC-USDT", "trades:ETH-USDT")
    assert [(reply["event"], reply["arg"]["channel"]) for reply in replies] == [
        ("subscribe", "books"),
        ("subscribe", "trades"),
    ]
    assert new == tuple(one.streams) == ("books:BTC-USDT", "trades:ETH-USDT")
    assert ask(one, "subscribe", "books:BTC-USDT")[1] == (), "what is subscribed already is not subscribed again"
    replies, gone = ask(one, "unsubscribe", "books:BTC-USDT")
    assert (replies[0]["event"], gone, tuple(one.streams)) == ("unsubscribe", ("books:BTC-USDT",), ("trades:ETH-USDT",))


@pytest.mark.parametrize(
    ("path", "stream"),
    [
        ("/ws/v5/public", "books:NOSUCH-USDT"),
        ("/ws/v5/public", "candle1m:BTC-USDT"),
        ("/ws/v5/public", "trades-all:BTC-USDT"),
        ("/ws/v5/business", "books:BTC-USDT"),
    ],
)
def test_what_is_not_there_or_elsewhere_is_named_in_the_error(path: str, stream: str) -> None:
    (error,), new = ask(session(path), "subscribe", stream)
    channel, name = stream.split(":")
    assert (error["event"], error["code"], new) == ("error", "60018", ())
    assert f"channel:{channel},instId:{name}" in error["msg"]


def test_a_symbol_off_the_list_is_not_there() -> None:
    market = MarketState(PROTOCOL.events, ["BTC-USDT"], 100)
    market.delist("BTC-USDT", 60)
    one = open_session("/ws/v5/public", market)
    assert one is not None
    assert ask(one, "subscribe", "books:BTC-USDT")[0][0]["code"] == "60018"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"{", "60012"),
        (b"[]", "60012"),
        (b'{"op":"buy"}', "60012"),
        (b'{"op":"subscribe"}', "60013"),
        (b'{"op":"subscribe","args":[1]}', "60013"),
    ],
)
def test_what_is_no_request(message: bytes, code: str) -> None:
    (reply,) = session().receive(message).replies
    assert msgspec.json.decode(reply)["code"] == code


def test_a_text_ping_is_answered() -> None:
    assert session().receive(b"ping").replies == (b"pong",)


def test_requests_of_an_hour_are_counted() -> None:
    one = session()
    for _ in range(REQUESTS):
        assert ask(one, "subscribe", "books:BTC-USDT", now=10.0)[0][0]["event"] == "subscribe"
    assert ask(one, "subscribe", "books:BTC-USDT", now=20.0)[0][0]["code"] == "60014"
    assert ask(one, "subscribe", "books:BTC-USDT", now=3611.0)[0][0]["event"] == "subscribe"


def test_paths() -> None:
    assert open_session("/ws/v5/private", MARKET) is None
    assert PROTOCOL.open("/ws/v5/business", "", 10, MARKET) is not None


def test_a_subscriber_of_a_book_gets_it_once_it_is_known() -> None:
    market = MarketState(PROTOCOL.events, ["BTC-USDT"], 100)
    assert PROTOCOL.opening("books:BTC-USDT", market, 1) == ()
    market.seed(PROTOCOL.encode(0, "BTC-USDT", BookSnapshot(5, [("99.0", "1.0")], [("101.0", "1.0")])))
    (frame,) = PROTOCOL.opening("books:BTC-USDT", market, 1_652_459_225_393_000)
    body = msgspec.json.decode(frame.message)
    assert (body["action"], body["data"][0]["seqId"], body["data"][0]["bids"]) == (
        "snapshot",
        5,
        [["99", "1", "0", "1"]],
    )
    assert PROTOCOL.opening("trades:BTC-USDT", market, 1) == ()
