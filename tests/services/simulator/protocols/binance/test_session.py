"""Control messages: what is acknowledged, what is an error, and in which of the two shapes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from marketpipeline.simulator.protocols.binance.session import BinanceSession, open_session


def session(*streams: str, combined: bool = True, most: int = 1024) -> BinanceSession:
    return BinanceSession(streams, most, combined=combined)


def ask(one: BinanceSession, message: object) -> Any:
    raw = message if isinstance(message, bytes) else msgspec.json.encode(message)
    return msgspec.json.decode(one.receive(raw).replies[0])


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/ws", "", (False, False, ())),
        ("/ws/btcusdt@trade", "", (False, False, ("btcusdt@trade",))),
        ("/ws/a@trade/b@depth", "", (False, False, ("a@trade", "b@depth"))),
        ("/stream", "", (True, False, ())),
        ("/stream", "streams=a@trade/b@depth@100ms", (True, False, ("a@trade", "b@depth@100ms"))),
        ("/stream", "timeUnit=microsecond&streams=a@trade", (True, True, ("a@trade",))),
        ("/stream", "streams=a@trade&timeUnit=MICROSECOND", (True, True, ("a@trade",))),
        ("/ws/a@trade/a@trade", "timeUnit=MILLISECOND", (False, False, ("a@trade",))),
        ("/ws-api/v3", "", None),
        ("/", "", None),
    ],
)
def test_what_an_address_asks_for(path: str, query: str, expected: tuple[object, ...] | None) -> None:
    opened = open_session(path, query, 10)
    assert expected == (opened and (opened.combined, opened.microseconds, opened.streams))


def test_subscribe_list_unsubscribe() -> None:
    one = session("btcusdt@trade")
    response = one.receive(b'{"method":"SUBSCRIBE","params":["ethusdt@trade","btcusdt@trade"],"id":1}')
    assert msgspec.json.decode(response.replies[0]) == {"result": None, "id": 1}
    assert response.subscribe == ("ethusdt@trade",), "what is subscribed already is not subscribed again"
    listed = {"result": ["btcusdt@trade", "ethusdt@trade"], "id": 2}
    assert ask(one, {"method": "LIST_SUBSCRIPTIONS", "id": 2}) == listed
    response = one.receive(b'{"method":"UNSUBSCRIBE","params":["btcusdt@trade","never@trade"],"id":"x1"}')
    assert msgspec.json.decode(response.replies[0]) == {"result": None, "id": "x1"}
    assert response.unsubscribe == ("btcusdt@trade",)
    assert ask(one, {"method": "LIST_SUBSCRIPTIONS", "id": None}) == {"result": ["ethusdt@trade"], "id": None}


@pytest.mark.parametrize("name", ["BTCUSDT@trade", "nosuch@trade", "btcusdt@nonsense", "btcusdt@bookticker"])
def test_a_stream_that_does_not_exist_is_acknowledged(name: str) -> None:
    one = session()
    assert ask(one, {"method": "SUBSCRIBE", "params": [name], "id": 7}) == {"result": None, "id": 7}
    assert ask(one, {"method": "LIST_SUBSCRIPTIONS", "id": 8})["result"] == [name]


@pytest.mark.parametrize(
    ("message", "code", "said"),
    [
        (b"not json", 3, "Invalid JSON"),
        ([1, 2], 2, "expected an object"),
        ({"params": [], "id": 1}, 2, "missing field `method`"),
        ({"method": "SUBSCRIBED", "params": [], "id": 1}, 2, "unknown variant `SUBSCRIBED`"),
        ({"method": "SUBSCRIBE", "params": [], "id": 1.5}, 2, "request ID"),
        ({"method": "SUBSCRIBE", "params": [], "id": "with space"}, 2, "request ID"),
        ({"method": "SUBSCRIBE", "params": [], "id": "a" * 37}, 2, "request ID"),
        ({"method": "SUBSCRIBE", "params": [], "id": 1 << 63}, 2, "request ID"),
    ],
)
def test_the_flat_error(message: object, code: int, said: str) -> None:
    reply = ask(session(), message)
    assert reply["code"] == code
    assert said in reply["msg"]
    assert "id" in reply


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"method": "SUBSCRIBE", "id": 1}, 2),
        ({"method": "SUBSCRIBE", "params": "btcusdt@trade", "id": 1}, 2),
        ({"method": "SUBSCRIBE", "params": [1], "id": 1}, 2),
        ({"method": "SET_PROPERTY", "params": ["colour", True], "id": 1}, 0),
        ({"method": "SET_PROPERTY", "params": ["combined", "yes"], "id": 1}, 1),
        ({"method": "SET_PROPERTY", "params": [], "id": 1}, 2),
        ({"method": "SET_PROPERTY", "params": ["combined", True, 1], "id": 1}, 2),
        ({"method": "GET_PROPERTY", "params": ["colour"], "id": 1}, 0),
    ],
)
def test_the_nested_error(message: object, code: int) -> None:
    reply = ask(session(), message)
    assert reply["error"]["code"] == code
    assert reply["id"] == 1


def test_no_more_streams_than_allowed() -> None:
    one = session("a@trade", most=3)
    assert ask(one, {"method": "SUBSCRIBE", "params": ["b@trade", "c@trade"], "id": 1})["result"] is None
    refused = one.receive(b'{"method":"SUBSCRIBE","params":["d@trade"],"id":2}')
    assert msgspec.json.decode(refused.replies[0])["error"]["msg"].endswith("more than 3 streams")
    assert refused.subscribe == ()


def test_the_combined_property() -> None:
    one = session(combined=False)
    assert ask(one, {"method": "GET_PROPERTY", "params": ["combined"], "id": 1})["result"] is False
    assert ask(one, {"method": "SET_PROPERTY", "params": ["combined", True], "id": 2})["result"] is None
    assert one.combined
