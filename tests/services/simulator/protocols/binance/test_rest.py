"""REST answers: content, weights and the errors of the real exchange."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from marketpipeline.simulator.events import AggTrade, BookDiff, BookSnapshot, Trade
from marketpipeline.simulator.market_state import MarketState
from marketpipeline.simulator.protocols import protocols
from marketpipeline.simulator.protocols.binance import rest

PROTOCOL = protocols()["binance"]
T = 1_700_000_040_000_000
"""The start of a minute."""


@pytest.fixture
def market() -> MarketState:
    """Two symbols; 100 trades of the first, one a second."""
    known = MarketState(PROTOCOL.events, ["BTCUSDT", "ETHUSDT"], 1000)
    known.seed(PROTOCOL.encode(0, "BTCUSDT", BookSnapshot(5, [("99.0", "1.0"), ("98.0", "2.0")], [("101.0", "1.0")])))
    known.note(PROTOCOL.encode(0, "BTCUSDT", BookDiff(6, 7, T, [("99.5", "3.0")], [])))
    for number in range(100):
        price = f"{100 + number % 10}.0"
        time = T + number * 1_000_000
        known.note(PROTOCOL.encode(0, "BTCUSDT", Trade(1000 + number, price, "0.5", time, time, number % 2 == 0)))
    known.note(PROTOCOL.encode(0, "BTCUSDT", AggTrade(50, "100.0", "1.0", 1000, 1001, T, T, True)))
    return known


def get(market: MarketState, url: str, *, microseconds: bool = False) -> tuple[int, Any]:
    parts = urlsplit(url)
    headers = {"X-MBX-TIME-UNIT": "microsecond"} if microseconds else {}
    answer = PROTOCOL.answer(parts.path, dict(parse_qsl(parts.query)), headers, market, T + 100_000_000)
    return answer.status, msgspec.json.decode(answer.body)


def test_depth(market: MarketState) -> None:
    status, body = get(market, "/api/v3/depth?symbol=BTCUSDT&limit=2")
    assert status == 200
    assert body == {"lastUpdateId": 7, "bids": [["99.5", "3.0"], ["99.0", "1.0"]], "asks": [["101.0", "1.0"]]}
    answer = PROTOCOL.answer("/api/v3/depth", {"symbol": "BTCUSDT"}, {}, market, T)
    assert answer.snapshot_of == "BTCUSDT"


def test_historical_trades_have_exact_ids(market: MarketState) -> None:
    _, body = get(market, "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=1097&limit=1000")
    assert [trade["id"] for trade in body] == [1097, 1098, 1099]
    assert body[0] == {
        "id": 1097,
        "price": "107.0",
        "qty": "0.5",
        "quoteQty": "53.50000000",
        "time": (T + 97_000_000) // 1000,
        "isBuyerMaker": False,
        "isBestMatch": True,
    }
    _, body = get(market, "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=1&limit=2", microseconds=True)
    assert [(trade["id"], trade["time"]) for trade in body] == [(1000, T), (1001, T + 1_000_000)]
    assert get(market, "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=5000") == (200, [])
    assert get(market, "/api/v3/historicalTrades?symbol=ETHUSDT") == (200, [])


def test_recent_and_aggregate_trades(market: MarketState) -> None:
    _, body = get(market, "/api/v3/trades?symbol=BTCUSDT&limit=2")
    assert [trade["id"] for trade in body] == [1098, 1099]
    _, body = get(market, "/api/v3/aggTrades?symbol=BTCUSDT&fromId=0")
    assert body == [{"a": 50, "p": "100.0", "q": "1.0", "f": 1000, "l": 1001, "T": T // 1000, "m": True, "M": True}]


def test_klines(market: MarketState) -> None:
    _, body = get(market, "/api/v3/klines?symbol=BTCUSDT&interval=1m")
    assert len(body) == 2
    open_time, opened, high, low, close, volume, close_time, quote_volume, trades, taker, taker_quote, unused = body[0]
    assert (open_time, close_time) == (T // 1000, T // 1000 + 59_999)
    assert (opened, high, low, close, trades) == ("100.0", "109.0", "100.0", "109.0", 60)
    assert (volume, quote_volume) == ("30.00000000", "3135.00000000")
    assert (taker, taker_quote, unused) == ("15.00000000", "1575.00000000", "0")
    _, one = get(market, "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1")
    assert one == body[1:]
    _, since = get(market, f"/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={T // 1000}&limit=1")
    assert since == body[:1]


def test_tickers(market: MarketState) -> None:
    _, body = get(market, "/api/v3/ticker/24hr?symbol=BTCUSDT")
    assert (body["firstId"], body["lastId"], body["count"]) == (1000, 1099, 100)
    assert (body["openPrice"], body["lastPrice"], body["highPrice"]) == ("100.0", "109.0", "109.0")
    assert (body["bidPrice"], body["askPrice"]) == ("99.5", "101.0")
    _, every = get(market, "/api/v3/ticker/24hr")
    assert [row["symbol"] for row in every] == ["BTCUSDT", "ETHUSDT"]
    assert every[1]["count"] == 0
    _, best = get(market, '/api/v3/ticker/bookTicker?symbols=["BTCUSDT"]')
    assert best == [{"symbol": "BTCUSDT", "bidPrice": "99.5", "bidQty": "3.0", "askPrice": "101.0", "askQty": "1.0"}]


def test_time_ping_and_what_is_listed(market: MarketState) -> None:
    assert get(market, "/api/v3/ping") == (200, {})
    assert get(market, "/api/v3/time") == (200, {"serverTime": (T + 100_000_000) // 1000})
    assert get(market, "/api/v3/time", microseconds=True) == (200, {"serverTime": T + 100_000_000})
    _, body = get(market, "/api/v3/exchangeInfo")
    assert [(row["symbol"], row["baseAsset"], row["quoteAsset"]) for row in body["symbols"]] == [
        ("BTCUSDT", "BTC", "USDT"),
        ("ETHUSDT", "ETH", "USDT"),
    ]
    _, body = get(market, "/api/v3/exchangeInfo?symbol=ETHUSDT")
    assert [row["symbol"] for row in body["symbols"]] == ["ETHUSDT"]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("/api/v3/depth", -1102),
        ("/api/v3/depth?symbol=", -1102),
        ("/api/v3/depth?symbol=NOSUCH", -1121),
        ("/api/v3/depth?symbol=btcusdt", -1100),
        ("/api/v3/depth?symbol=BTC%20USDT", -1100),
        ("/api/v3/depth?symbol=%E5%B8%81%E5%AE%89usdt", -1100),
        ("/api/v3/depth?symbol=%E5%B8%81%E5%AE%89USDT", -1121),
        ("/api/v3/depth?symbol=BTCUSDT&limit=0", -1102),
        ("/api/v3/depth?symbol=BTCUSDT&limit=ten", -1100),
        ("/api/v3/historicalTrades?symbol=BTCUSDT&fromId=-1", -1100),
        ("/api/v3/klines?symbol=BTCUSDT", -1120),
        ("/api/v3/klines?symbol=BTCUSDT&interval=7m", -1120),
        ("/api/v3/exchangeInfo?symbol=NOSUCH", -1121),
        ('/api/v3/exchangeInfo?symbols=["BTCUSDT","NOSUCH"]', -1121),
        ("/api/v3/exchangeInfo?symbols=BTCUSDT", -1100),
        ('/api/v3/exchangeInfo?symbols=["BTCUSDT"]&symbol=BTCUSDT', -1128),
        ("/api/v3/ticker/24hr?symbol=NOSUCH", -1121),
    ],
)
def test_errors(market: MarketState, url: str, code: int) -> None:
    status, body = get(market, url)
    assert status == 400
    assert body["code"] == code
    assert body["msg"]


def test_a_path_that_does_not_exist(market: MarketState) -> None:
    assert PROTOCOL.answer("/api/v3/nothing", {}, {}, market, T).status == 404
    assert PROTOCOL.answer("/robots.txt", {}, {}, market, T).status == 404


@pytest.mark.parametrize(
    ("path", "query", "weight"),
    [
        ("/depth", {}, 5),
        ("/depth", {"limit": "100"}, 5),
        ("/depth", {"limit": "101"}, 25),
        ("/depth", {"limit": "500"}, 25),
        ("/depth", {"limit": "1000"}, 50),
        ("/depth", {"limit": "5000"}, 250),
        ("/historicalTrades", {}, 25),
        ("/trades", {}, 25),
        ("/aggTrades", {}, 4),
        ("/klines", {}, 2),
        ("/exchangeInfo", {}, 20),
        ("/time", {}, 1),
        ("/ticker/24hr", {"symbol": "BTCUSDT"}, 2),
        ("/ticker/24hr", {}, 80),
        ("/ticker/bookTicker", {}, 4),
    ],
)
def test_weights(path: str, query: dict[str, str], weight: int) -> None:
    assert rest.weight(f"/api/v3{path}", query) == weight


def test_too_many_requests_and_the_ban() -> None:
    slow, banned = rest.limited(False, 7, T), rest.limited(True, 120, T)
    assert (slow.status, banned.status) == (429, 418)
    assert (slow.headers["Retry-After"], banned.headers["Retry-After"]) == ("7", "120")
    assert all(msgspec.json.decode(one.body)["code"] == -1003 for one in (slow, banned))
    assert str(T // 1000 + 120_000) in msgspec.json.decode(banned.body)["msg"]
