"""`/api/v1/market/realtime` over real stores."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote as quote_url

import pytest
from marketpipeline.api.models import MarketSummary, Ranking, Realtime, TickerHealth
from marketpipeline.api.routes.market import age_ms, summary
from marketpipeline.readers import NewestRecords
from marketpipeline.readers.timescale import TimescaleReader
from marketpipeline.store.rows import json_of

from tests.services.api.serving import Api, Stores, serving
from tests.services.sinks.samples import BTC, ETH, START, book, candle, quote, ticker, trade

NOW = datetime.fromtimestamp(START / 1e6, UTC) + timedelta(seconds=60)
PATH = "/api/v1/market/realtime"


async def test_every_symbol_from_the_cache(api: Api, stores: Stores) -> None:
    now = int(datetime.now(UTC).timestamp() * 1e6)
    stores.put(trade(1), trade(9, receive_time=now), quote(3), book(2), ticker(), candle(), candle(0, interval="5m"))
    stores.put(trade(1, ETH))
    body = await api.get(PATH)
    Realtime.model_validate(body)
    assert body["source"] == "redis"
    btc, eth, okx = body["symbols"]
    assert (btc["symbol"], eth["symbol"], okx["symbol"]) == (BTC, ETH, "okx:BTC-USDT")
    assert (btc["price"], btc["imbalance"]) == (trade(9).price, book(2).imbalance)
    assert btc["candles"] == {"1m": json_of(candle()), "5m": json_of(candle(0, interval="5m"))}
    assert btc["ticker"] == json_of(ticker())
    assert 0 <= btc["age_ms"] < 20_000
    assert (eth["price"], eth["mid"], okx["price"], okx["age_ms"]) == (trade(1).price, None, None, None)
    assert abs(datetime.fromisoformat(body["time"]) - datetime.now(UTC)) < timedelta(seconds=20)


async def test_a_symbol_beyond_ascii_in_paths_and_parameters(stores: Stores) -> None:
    name = "binance:币安人生USDT"
    now = int(datetime.now(UTC).timestamp() * 1e6)
    stores.put(trade(1, name, receive_time=now), candle(symbol=name))
    async with serving(stores.settings(symbols=[BTC, name])) as api:
        for asked in (name, "币安人生USDT"):
            (moment,) = (await api.get(PATH, symbols=asked))["symbols"]
            assert (moment["symbol"], moment["price"]) == (name, trade(1).price)
            body = await api.get(f"/api/v1/analytics/klines/{quote_url(asked)}")
            assert (body["symbol"], len(body["candles"])) == (name, 1)


async def test_some_symbols(api: Api) -> None:
    body = await api.get(PATH, symbols="ETHUSDT,okx:BTC-USDT")
    assert [moment["symbol"] for moment in body["symbols"]] == [ETH, "okx:BTC-USDT"]


async def test_the_database_answers_where_there_is_no_cache_or_it_is_away(stores: Stores) -> None:
    stores.put(trade(1), trade(9), book(2), ticker(), candle(0), candle(1), candle(0, interval="5m"))
    away = stores.valkey.settings.model_copy(update={"url": "redis://127.0.0.1:1/0"})
    for redis in (None, away):
        async with serving(stores.settings(redis=redis)) as api:
            body = await api.get(PATH, symbols=BTC)
        Realtime.model_validate(body)
        assert body["source"] == "timescale"
        (btc,) = body["symbols"]
        assert (btc["price"], btc["imbalance"], btc["best_ask"]) == (
            trade(9).price,
            book(2).imbalance,
            book(2).best_ask,
        )
        assert btc["candles"]["1m"] == json_of(candle(1))
        assert btc["candles"]["5m"] == json_of(candle(0, interval="5m"))


async def test_what_the_cache_lacks_is_from_the_database(api: Api, stores: Stores) -> None:
    stores.put(trade(1), candle(0), candle(0, interval="5m"), trade(1, ETH), only="timescale")
    stores.put(trade(9), quote(3), candle(1), only="redis")
    body = await api.get(PATH)
    Realtime.model_validate(body)
    btc, eth, okx = body["symbols"]
    assert body["source"] == "redis+timescale"
    assert (btc["price"], eth["price"], okx["price"]) == (trade(9).price, trade(1).price, None)
    assert btc["mid"] == (quote(3).bid_price + quote(3).ask_price) / 2
    assert btc["candles"] == {"1m": json_of(candle(1)), "5m": json_of(candle(0, interval="5m"))}
    assert (await api.get(PATH, symbols=ETH))["source"] == "timescale"
    assert (await api.get(PATH, symbols="okx:BTC-USDT"))["source"] == "redis"


async def test_of_one_candle_in_both_stores_the_one_that_is_further_on_counts(api: Api, stores: Stores) -> None:
    stores.put(candle(1, trades=100, close=2.0), trade(1), only="timescale")
    stores.put(candle(1, trades=90, close=1.0), only="redis")
    (btc,) = (await api.get(PATH, symbols=BTC))["symbols"]
    assert (btc["candles"]["1m"]["close"], btc["price"]) == (2.0, trade(1).price)


async def test_the_database_is_not_asked_each_time_for_what_it_lacks_too_or_while_it_is_away(
    api: Api, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    newest = TimescaleReader.newest

    async def counted(self: TimescaleReader, symbols: Sequence[str], kinds: Sequence[str]) -> dict[str, NewestRecords]:
        asked.append(list(symbols))
        return await newest(self, symbols, kinds)

    monkeypatch.setattr(TimescaleReader, "newest", counted)
    stores.put(trade(1), only="redis")
    for _ in range(3):
        assert (await api.get(PATH, symbols=BTC))["source"] == "redis"
    assert asked == [[BTC]]
    away = stores.postgres.settings.model_copy(update={"url": "postgresql://x@127.0.0.1:1/x"})
    async with serving(stores.settings(timescale=away)) as alone:
        for _ in range(3):
            body = await alone.get(PATH, symbols=BTC)
            assert (body["source"], body["symbols"][0]["price"]) == ("redis", trade(1).price)
    assert asked == [[BTC], [BTC]]


async def test_the_two_stores_say_the_same(stores: Stores) -> None:
    stores.put(trade(1), book(2), ticker(), candle(1))
    found = []
    for name in ("redis", "timescale"):
        async with serving(stores.settings(**{name: None})) as api:
            body = await api.get(PATH, symbols=BTC)
            found.append({key: value for key, value in body["symbols"][0].items() if key != "age_ms"})
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("parameters", "field", "words"),
    [
        ({"symbols": "BTCUSD"}, "symbols", "did you mean BTCUSDT?"),
        ({"symbols": ""}, "symbols", "there are: binance:BTCUSDT"),
        ({"symbol": "BTCUSDT"}, "symbol", "unknown parameter; did you mean symbols?"),
    ],
)
async def test_wrong_parameters(api: Api, parameters: dict[str, str], field: str, words: str) -> None:
    body = await api.get(PATH, 400, **parameters)
    (problem,) = body["problems"]
    assert (problem["field"], body["status"], body["title"]) == (field, 400, "Bad Request")
    assert words in problem["expected"]


async def test_without_any_store(stores: Stores) -> None:
    async with serving(stores.settings(redis=None, timescale=None)) as api:
        body = await api.get(PATH, 501)
    assert "its sinks are disabled" in body["detail"]


def test_the_summary_of_everything() -> None:
    newest: NewestRecords = {
        "trade": trade(7),
        "quote": quote(2),
        "book": book(1),
        "ticker": ticker(),
        "candle:1m": candle(),
    }
    found = summary(BTC, newest, NOW)
    assert (found["symbol"], found["price"], found["price_time"]) == (
        BTC,
        trade(7).price,
        json_of(trade(7))["trade_time"],
    )
    assert (found["best_bid"], found["best_ask"]) == (book().best_bid, book().best_ask)
    assert found["imbalance"] == book().imbalance
    assert found["candles"] == {"1m": json_of(candle())}
    assert found["receive_time"] == json_of(candle())["receive_time"]
    assert found["age_ms"] == 10_000


def test_the_newer_of_quote_and_book_gives_the_spread() -> None:
    newer = quote(500, bid_price=60_000.0, ask_price=60_006.0)
    found = summary(BTC, {"quote": newer, "book": book()}, NOW)
    assert (found["mid"], found["spread"]) == (60_003.0, 6.0)
    assert found["spread_bps"] == pytest.approx(6 / 60_003 * 1e4)
    assert found["price"] == 60_003.0, "without a trade the mid"
    assert found["imbalance"] == book().imbalance


def test_the_summary_of_nothing() -> None:
    found = summary(BTC, {}, NOW)
    assert found.pop("symbol") == BTC
    assert found.pop("candles") == {}
    assert set(found.values()) == {None}


def test_ages_are_not_clamped() -> None:
    assert age_ms("2024-08-08T23:55:00.250000Z", NOW) == -250
    assert age_ms(None, NOW) is None


MARKET = "/api/v1/market"


async def test_the_market_as_a_whole(api: Api, stores: Stores) -> None:
    stores.put(candle(0, closed=True, open=100.0, close=110.0), candle(1, open=110.0, close=120.0, high=130.0))
    stores.put(candle(1, ETH, open=10.0, close=9.0, trades=500, quote_volume=1.0))
    body = await api.get(f"{MARKET}/summary", interval="1m")
    MarketSummary.model_validate(body)
    btc, eth = body["symbols"]
    assert (btc["open"], btc["close"], btc["high"], btc["trades"]) == (100.0, 120.0, candle().high, 200)
    assert btc["price_change"] == pytest.approx(0.2)
    assert (body["rising"], body["falling"], body["trades"]) == (1, 1, 700)
    assert eth["since"] == "2024-08-08T23:55:00Z"
    by_trades = await api.get(f"{MARKET}/top-by-trades", interval="1m")
    Ranking.model_validate(by_trades)
    assert [row["symbol"] for row in by_trades["symbols"]] == [ETH, BTC]
    by_volume = await api.get(f"{MARKET}/top-by-volume", interval="1m", limit=1)
    assert [row["symbol"] for row in by_volume["symbols"]] == [BTC]
    assert (await api.get(f"{MARKET}/top-by-volume"))["interval"] == "5m", "the longest where nothing is said"


async def test_which_symbols_are_alive(api: Api, stores: Stores) -> None:
    now = int(datetime.now(UTC).timestamp() * 1e6)
    stores.put(trade(1, receive_time=now), trade(1, ETH, receive_time=now - 300_000_000))
    body = await api.get(f"{MARKET}/ticker-health")
    TickerHealth.model_validate(body)
    assert [row["status"] for row in body["symbols"]] == ["live", "stale", "unknown"]
    assert body["symbols"][1]["trade_age_ms"] >= 300_000
    later = await api.get(f"{MARKET}/ticker-health", stale_after=3_600)
    assert [row["status"] for row in later["symbols"]] == ["live", "live", "unknown"]
