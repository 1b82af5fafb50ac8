"""`/api/v1/analytics` over real stores."""

from __future__ import annotations

from typing import Any

import pytest
from marketpipeline.api.models import Alerts, Book, Events, Klines, LateTrades, TradeCounts, Trades
from marketpipeline.store.rows import json_of

from tests.services.api.serving import Api, Stores, serving
from tests.services.sinks.samples import BTC, ETH, START, alert, book, candle, feed_event, late_trade, trade

KLINES = "/api/v1/analytics/klines/BTCUSDT"
BOOK = "/api/v1/analytics/book/BTCUSDT"
TRADES = "/api/v1/analytics/trades/BTCUSDT"
ALERTS = "/api/v1/analytics/alerts"


async def test_candles(api: Api, stores: Stores) -> None:
    candles = [candle(number, closed=number < 9) for number in range(10)]
    stores.put(*candles, candle(0, ETH), candle(0, interval="5m"))
    body = await api.get("/api/v1/analytics/klines/binance:BTCUSDT", interval="1m")
    Klines.model_validate(body)
    assert body == {"symbol": BTC, "interval": "1m", "candles": [json_of(record) for record in candles], "next": None}
    assert body["candles"][9]["closed"] is False
    assert (await api.get(KLINES))["candles"] == body["candles"], "1m where nothing is said"
    assert len((await api.get(KLINES, interval="5m"))["candles"]) == 1
    newest = await api.get(KLINES, limit=2)
    assert [row["close"] for row in newest["candles"]] == [candles[8].close, candles[9].close]
    asked: dict[str, Any] = {"from": "2024-08-08T23:56:00Z", "to": START // 1000 + 240_000}
    span = await api.get(KLINES, **asked)
    assert [row["open_time"] for row in span["candles"]] == ["2024-08-08T23:56:00Z", "2024-08-08T23:57:00Z"]
    asked = {"from": START // 1000, "limit": 1}
    first = await api.get(KLINES, **asked)
    assert [row["open_time"] for row in first["candles"]] == ["2024-08-08T23:54:00Z"]
    assert (await api.get("/api/v1/analytics/klines/okx:BTC-USDT"))["candles"] == []


async def test_the_book(api: Api, stores: Stores) -> None:
    rows = [book(number) for number in range(20)]
    stores.put(*rows)
    body = await api.get(BOOK, limit=5)
    Book.model_validate(body)
    assert body == {
        "symbol": BTC,
        "latest": json_of(rows[-1]),
        "book": [json_of(record) for record in rows[15:]],
        "next": body["next"],
    }
    old = await api.get(BOOK, to="2024-08-08T23:54:00.250Z")
    assert [row["update_id"] for row in old["book"]] == [7_000, 7_001, 7_002]
    assert old["latest"] == json_of(rows[-1])
    assert (await api.get("/api/v1/analytics/book/ETHUSDT")) == {
        "symbol": ETH,
        "latest": None,
        "book": [],
        "next": None,
    }


async def test_trades_with_and_without_outliers(api: Api, stores: Stores) -> None:
    trades = [trade(number) for number in range(6)]
    far = [trades[2], trades[5]]
    outliers = [
        alert(0, id=f"outlier:{number}", rule="outlier", started_at=one.trade_time, trade_id=one.trade_id)
        for number, one in enumerate(far)
    ]
    stores.put(*trades, *outliers, trade(2, ETH))
    body = await api.get(TRADES)
    Trades.model_validate(body)
    assert body == {"symbol": BTC, "trades": [json_of(record) for record in trades], "next": None}
    left = [json_of(record) for record in trades if record not in far]
    page = await api.get(TRADES, without_outliers="true", limit=3)
    assert page["trades"] == left[1:]
    page = await api.get(TRADES, without_outliers="true", limit=3, cursor=page["next"])
    assert page == {"symbol": BTC, "trades": left[:1], "next": None}
    wrong = await api.client.get(TRADES, params={"without_outliers": "some"})
    assert wrong.status_code == 400
    assert [found["field"] for found in wrong.json()["problems"]] == ["without_outliers"]


WHALE: dict[str, Any] = {"rule": "whale_trade", "severity": "HIGH", "status": "closed", "trade_id": 7}


@pytest.mark.parametrize("only", ["timescale", "redis"])
async def test_alerts_from_either_store(stores: Stores, only: str) -> None:
    whale = alert(3, ETH, id="whale_trade:x", **WHALE)
    found = [alert(0), alert(1, status="closed"), alert(2, severity="HIGH", status="escalated"), whale]
    stores.put(*found)
    newest_first = [json_of(record) for record in reversed(found)]
    other = "redis" if only == "timescale" else "timescale"
    async with serving(stores.settings(**{other: None})) as api:
        body = await api.get(ALERTS)
        Alerts.model_validate(body)
        assert body == {"alerts": newest_first, "next": None}
        for parameters, wanted in (
            ({"symbol": "ETHUSDT"}, [3]),
            ({"rule": "extreme_imbalance"}, [2, 1, 0]),
            ({"severity": "HIGH"}, [3, 2]),
            ({"status": "closed"}, [3, 1]),
            ({"status": "closed", "symbol": BTC}, [1]),
            ({"from": "2024-08-08T23:54:01Z", "to": "2024-08-08T23:54:03Z"}, [2, 1]),
            ({"limit": "2"}, [3, 2]),
            ({"from": "2024-08-08T23:54:00Z", "limit": "1"}, [3]),
        ):
            asked: dict[str, Any] = {**parameters}
            rows = (await api.get(ALERTS, **asked))["alerts"]
            assert [row["id"] for row in rows] == [found[number].id for number in wanted], parameters


async def test_whales_alone(api: Api, stores: Stores) -> None:
    whales = [alert(number, symbol, id=f"whale:{number}", **WHALE) for number, symbol in enumerate((BTC, ETH, BTC))]
    stores.put(*whales, alert(5))
    body = await api.get(f"{ALERTS}/whale-alerts")
    Alerts.model_validate(body)
    assert [row["id"] for row in body["alerts"]] == ["whale:2", "whale:1", "whale:0"]
    assert len((await api.get(f"{ALERTS}/whale-alerts", symbol="BTCUSDT"))["alerts"]) == 2


async def test_what_the_feeds_lack(api: Api, stores: Stores) -> None:
    gap, filled = feed_event(0), feed_event(1, kind="backfill", id="backfill:x", feed="trades")
    other, late = feed_event(2, ETH), late_trade(1)
    stores.put(gap, filled, other, late, only="timescale")
    for parameters, wanted in (
        ({}, [other, filled, gap]),
        ({"kind": "backfill"}, [filled]),
        ({"symbol": "BTCUSDT", "feed": "book"}, [gap]),
        ({"from": "2024-08-08T23:54:01Z", "to": "2024-08-08T23:54:02Z"}, [filled]),
        ({"limit": "1"}, [other]),
    ):
        asked: dict[str, Any] = {**parameters}
        body = await api.get("/api/v1/analytics/events", **asked)
        assert body["events"] == [json_of(record) for record in wanted], parameters
        Events.model_validate(body)
    body = await api.get("/api/v1/analytics/late-trades", symbol="BTCUSDT")
    assert body["late_trades"] == [json_of(late)]
    LateTrades.model_validate(body)
    refused = await api.get("/api/v1/analytics/events", 400, kind="gaps")
    assert "did you mean gap?" in refused["problems"][0]["expected"]


async def test_trades_are_counted(api: Api, stores: Stores) -> None:
    stores.put(*(candle(number, trades=10 + number) for number in range(4)), candle(1, ETH, trades=7))
    stores.put(candle(0, interval="5m", trades=99))
    body = await api.get(
        "/api/v1/analytics/trades-count", **{"from": "2024-08-08T23:55:00Z", "to": "2024-08-08T23:57:00Z"}
    )
    TradeCounts.model_validate(body)
    assert [(row["symbol"], row["trades"], row["candles"]) for row in body["symbols"]] == [
        (BTC, 11 + 12, 2), (ETH, 7, 1), ("okx:BTC-USDT", 0, 0),
    ]  # fmt: skip
    assert body["symbols"][0]["volume"] == 2 * candle().volume
    only = await api.get("/api/v1/analytics/trades-count", symbols="BTCUSDT", interval="5m")
    assert [row["trades"] for row in only["symbols"]] == [99]


@pytest.mark.parametrize(
    ("path", "parameters", "status", "field", "words"),
    [
        ("/api/v1/analytics/klines/BTCUSD", {}, 404, "symbol", "did you mean BTCUSDT?"),
        ("/api/v1/analytics/klines/kraken:BTCUSDT", {}, 404, "symbol", "did you mean binance:BTCUSDT?"),
        ("/api/v1/analytics/book/%00", {}, 404, "symbol", "unknown symbol"),
        (KLINES, {"interval": "7m"}, 400, "interval", "unknown interval; there are: 1m, 5m"),
        (KLINES, {"interval": ""}, 400, "interval", "there are: 1m, 5m"),
        (KLINES, {"from": "soon"}, 400, "from", "must be an ISO 8601 time (2024-08-08T23:54:00Z"),
        (KLINES, {"to": "1e9"}, 400, "to", "must be an ISO 8601 time"),
        (
            KLINES,
            {"from": "2024-08-09", "to": "2024-08-08"},
            400,
            "to",
            "must be later than `from` (2024-08-09T00:00:00",
        ),
        (KLINES, {"limit": "0"}, 400, "limit", "must be a whole number from 1 to 1000"),
        (KLINES, {"limit": "1001"}, 400, "limit", "must be a whole number from 1 to 1000"),
        (BOOK, {"limit": "many"}, 400, "limit", "must be a whole number from 1 to 1000"),
        (BOOK, {"interval": "1m"}, 400, "interval", "unknown parameter; there are: from, to, limit, cursor"),
        (ALERTS, {"symbol": "DOGE"}, 400, "symbol", "unknown symbol; there are: binance:BTCUSDT"),
        (ALERTS, {"rule": "whale"}, 400, "rule", "did you mean whale_trade?"),
        (ALERTS, {"severity": "high"}, 400, "severity", "did you mean HIGH?"),
        (ALERTS, {"status": "opened"}, 400, "status", "did you mean open?"),
    ],
)
async def test_what_is_wrong_is_named(
    api: Api, path: str, parameters: dict[str, str], status: int, field: str, words: str
) -> None:
    body = await api.get(path, status, **parameters)
    (problem,) = body["problems"]
    assert problem["field"] == field
    assert problem["value"] == parameters.get(field, problem["value"])
    assert words in problem["expected"]
    assert body["detail"] == f"1 parameter is wrong: {field}"
    assert body["type"] == "about:blank"


async def test_every_finding_is_told_at_once(api: Api) -> None:
    body = await api.get(KLINES, 400, **{"interval": "x", "from": "y", "limit": "z", "q": "1"})
    assert [problem["field"] for problem in body["problems"]] == ["from", "limit", "interval", "q"]
    assert body["detail"] == "4 parameters are wrong: from, limit, interval, q"


async def test_history_needs_a_database(stores: Stores) -> None:
    async with serving(stores.settings(timescale=None)) as api:
        for path, table in ((KLINES, "candles"), (BOOK, "book_metrics")):
            body = await api.get(path, 501)
            assert body["detail"] == f"this pipeline keeps no history of {table}: the sink that would is disabled"


async def test_other_paths_and_methods(api: Api) -> None:
    body = await api.get("/api/v1/analytics/nothing", 404)
    assert (body["title"], body["instance"]) == ("Not Found", "/api/v1/analytics/nothing")
    answer = await api.client.post(KLINES)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.json()["title"] == "Method Not Allowed"
