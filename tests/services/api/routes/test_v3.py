"""`/api/v3` asked by a client that was written for Binance: python-binance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from binance.client import Client
from binance.exceptions import BinanceAPIException
from marketpipeline.api.routes.v3 import assets, kline, of_candles
from marketpipeline.store.rows import json_of

from tests.services.api.serving import Stores, listening
from tests.services.sinks.samples import BTC, START, book, candle, quote, ticker
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker

FEEDS = ["book", "trades", "quotes", "tickers"]


class Asking:
    """The client, in a thread: it knows no event loop."""

    def __init__(self, address: str) -> None:
        self._client = Client(api_key="", api_secret="", ping=False)
        self._client.API_URL = f"http://{address}/api"

    async def ask(self, method: str, **parameters: Any) -> Any:
        return await asyncio.to_thread(getattr(self._client, method), **parameters)


@pytest.fixture
async def binance(stores: Stores, broker: RunningBroker) -> AsyncIterator[tuple[Asking, Topics]]:
    topics = Topics(broker)
    settings = stores.settings(kafka=topics.kafka, topic_prefix=topics.prefix, feeds=FEEDS)
    async with listening(settings) as address:
        yield Asking(address), topics


async def test_candles(binance: tuple[Asking, Topics], stores: Stores) -> None:
    client, _ = binance
    candles = [candle(number) for number in range(5)]
    stores.put(*candles)
    assert await client.ask("ping") == {}
    assert abs((await client.ask("get_server_time"))["serverTime"] / 1_000 - datetime.now(UTC).timestamp()) < 60
    rows = await client.ask("get_klines", symbol="BTCUSDT", interval="1m")
    assert rows == [kline(json_of(record)) for record in candles]
    assert rows[0] == [
        START // 1_000, "61000.00000000", "61010.00000000", "60990.00000000", "61005.00000000", "10.50000000",
        START // 1_000 + 59_999, "640552.50000000", 100, "6.50000000", "396532.50000000", "0",
    ]  # fmt: skip
    minute = 60_000
    span = {"startTime": START // 1_000 + minute, "endTime": START // 1_000 + 2 * minute}
    assert await client.ask("get_klines", symbol="BTCUSDT", interval="1m", **span) == rows[1:3], "the end is included"
    assert await client.ask("get_klines", symbol="BTCUSDT", interval="1m", limit=2) == rows[3:]
    walked = await asyncio.to_thread(
        lambda: list(client._client.get_historical_klines_generator("BTCUSDT", "1m", START // 1_000, limit=2))
    )
    assert walked == rows, "the client's own walk over pages"


async def test_statistics_of_24_hours(binance: tuple[Asking, Topics], stores: Stores) -> None:
    client, _ = binance
    now = int(datetime.now(UTC).timestamp() * 1_000_000) // 60_000_000 * 60_000_000
    stores.put(candle(0, open_time=now - 7_200_000_000, interval="5m", close=100.0, open=50.0, low=40.0, trades=7))
    stores.put(candle(0, open_time=now - 3_600_000_000, interval="5m", close=75.0, high=120.0, trades=5), quote(1))
    found = await client.ask("get_ticker", symbol="BTCUSDT")
    assert (found["symbol"], found["openPrice"], found["lastPrice"], found["count"]) == (
        "BTCUSDT", "50.00000000", "75.00000000", 12,
    )  # fmt: skip
    assert found["priceChangePercent"] == "50.00000000"
    assert found["bidPrice"] == "61000.00000000"
    stores.put(ticker(1))
    assert (await client.ask("get_ticker", symbol="BTCUSDT"))["lastPrice"] == "61000.50000000", "the exchange's own"
    assert [row["symbol"] for row in await client.ask("get_ticker")] == ["BTCUSDT", "ETHUSDT", "okx:BTC-USDT"]
    assert of_candles([])["lastPrice"] == "0.00000000"


async def test_what_is_listed(binance: tuple[Asking, Topics]) -> None:
    """With what clients read before anything else: python-binance itself, and ccxt, whose markets are made of these."""
    client, _ = binance
    found = await client.ask("get_exchange_info")
    assert [(s["symbol"], s["baseAsset"], s["quoteAsset"], s["status"]) for s in found["symbols"]] == [
        ("BTCUSDT", "BTC", "USDT", "TRADING"),
        ("ETHUSDT", "ETH", "USDT", "TRADING"),
        ("okx:BTC-USDT", "BTC", "USDT", "TRADING"),
    ]
    assert (await client.ask("get_symbol_info", symbol="ETHUSDT"))["filters"][0]["tickSize"] == "0.00000001"
    for listed in found["symbols"]:
        assert await client.ask("get_klines", symbol=listed["symbol"], interval="1m") == []


@pytest.mark.parametrize(
    ("symbol", "parts"),
    [
        ("BTCUSDT", ("BTC", "USDT")),
        ("ETHBTC", ("ETH", "BTC")),
        ("BTC-USD-261225", ("BTC", "USD")),
        ("ABCXYZ", ("ABC", "XYZ")),
        ("USDCUSDT", ("USDC", "USDT")),
    ],
)
def test_base_and_quote(symbol: str, parts: tuple[str, str]) -> None:
    assert assets(symbol) == parts


async def test_the_book(binance: tuple[Asking, Topics], stores: Stores) -> None:
    from marketpipeline.records import Book, encode
    from marketpipeline.topics import TopicKind

    client, topics = binance
    stores.put(book(1))
    levels: dict[str, Any] = {"bids": [(61_000.0, 1.5), (60_999.5, 2.0)], "asks": [(61_000.5, 0.25), (61_001.0, 9.0)]}
    topics.create(TopicKind.BOOK)
    for number in (8, 9):
        record = Book(symbol=BTC, event_time=START, receive_time=START + number, update_id=number, **levels)
        topics.put_raw(TopicKind.BOOK, BTC.encode(), encode(record))
    found = await client.ask("get_order_book", symbol="BTCUSDT")
    assert found["lastUpdateId"] == 9
    assert found["bids"] == [["61000.00000000", "1.50000000"], ["60999.50000000", "2.00000000"]]
    assert (await client.ask("get_order_book", symbol="BTCUSDT", limit=1))["asks"] == [["61000.50000000", "0.25000000"]]
    top = await client.ask("get_order_book", symbol="binance:ETHUSDT")
    assert top == {"lastUpdateId": 0, "bids": [], "asks": []}


async def test_without_a_broker_the_best_bid_and_ask(stores: Stores) -> None:
    stores.put(book(1))
    async with listening(stores.settings(feeds=FEEDS)) as address:
        found = await Asking(address).ask("get_order_book", symbol="BTCUSDT")
    assert found == {
        "lastUpdateId": 7_001,
        "bids": [["61000.00000000", "1.50000000"]],
        "asks": [["61000.01000000", "0.50000000"]],
    }


async def test_errors_have_binances_form(binance: tuple[Asking, Topics]) -> None:
    client, _ = binance
    for parameters, code, words in (
        ({"symbol": "NOPE", "interval": "1m"}, -1121, "unknown symbol"),
        ({"symbol": "BTCUSDT", "interval": "7m"}, -1120, "there are: 1m, 5m"),
        ({"symbol": "BTCUSDT", "interval": "1m", "limit": 0}, -1100, "from 1 to 1000"),
    ):
        with pytest.raises(BinanceAPIException) as refused:
            await client.ask("get_klines", **parameters)
        assert (refused.value.status_code, refused.value.code) == (400, code)
        assert words in refused.value.message
