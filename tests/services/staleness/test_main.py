"""The staleness check, on the real stores with what the sinks write there."""

from __future__ import annotations

import json
import time

import msgspec
import pytest
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.records import Record
from marketpipeline.settings import ApiSettings
from marketpipeline.settings import Stores as StoresSettings
from marketpipeline.sink_kinds import StoreSettings
from marketpipeline.sink_kinds.redis import RedisStoreSettings
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.staleness.main import run, stale_symbols
from marketpipeline.topics import Feed

from tests.conftest import free_port
from tests.services.api.serving import Stores
from tests.services.sinks.samples import BTC, ETH, agg_trade, book, exchange_candle, feed_event, heartbeat, quote, trade

NOBODY = "okx:BTC-USDT"
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("other", "feed", "last"),
    [
        ("timescale", Feed.QUOTES, quote()),
        ("redis", Feed.AGG_TRADES, agg_trade()),
        ("redis", Feed.CANDLES, exchange_candle()),
        ("redis", Feed.TRADES, heartbeat()),
        ("timescale", Feed.TRADES, heartbeat()),
    ],
    ids=repr,
)
def test_any_feed_is_a_sign_of_life_and_so_are_the_heartbeats_of_a_market_without_trades(
    stores: Stores, other: str, feed: Feed, last: Record
) -> None:
    settings = stores.settings(**{other: None}, symbols=[BTC], feeds=[feed])
    stores.put(msgspec.structs.replace(last, receive_time=time.time_ns() // 1_000 - 400 * SECOND))
    assert run(settings) == 1
    stores.put(msgspec.structs.replace(last, receive_time=time.time_ns() // 1_000))
    assert run(settings) == 0


def test_what_ingestion_says_of_a_feed_is_no_sign_of_life(stores: Stores) -> None:
    stores.put(feed_event(kind="disconnect", receive_time=time.time_ns() // 1_000))
    assert run(stores.settings(symbols=[BTC], feeds=[Feed.TRADES])) == 1


@pytest.mark.parametrize(("other", "feed"), [("redis", Feed.QUOTES), ("timescale", Feed.AGG_TRADES)])
def test_feeds_that_no_store_keeps_are_not_missed(stores: Stores, other: str, feed: Feed) -> None:
    assert run(stores.settings(**{other: None}, feeds=[feed])) == 0
    assert run(stores.settings(**{other: None}, feeds=[feed, Feed.TRADES])) == 1


@pytest.mark.parametrize("other", ["redis", "timescale"])
def test_in_either_store(stores: Stores, other: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings, now = stores.settings(**{other: None}), time.time_ns() // 1_000
    stores.put(trade(1, receive_time=now), trade(1, ETH, receive_time=now - 900 * SECOND))
    capsys.readouterr()
    assert run(settings) == 1
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    warnings = {entry["symbol"]: entry["message"] for entry in said if entry["level"] == "WARNING"}
    assert warnings.keys() == {ETH, NOBODY}
    assert warnings[ETH].startswith("no recent data: the newest was received 90")
    assert warnings[NOBODY] == "no recent data: the newest was received never"
    stores.put(book(2, ETH, receive_time=now), book(1, NOBODY, receive_time=now))
    assert run(settings) == 0


def over(**stores: StoreSettings) -> ApiSettings:
    return ApiSettings(pipeline="crypto", symbols=[BTC], windows=[], stores=StoresSettings.model_validate(stores))


def test_stores_that_do_not_answer() -> None:
    with pytest.raises(RetryableError, match="the cache is away"):
        run(over(redis=RedisStoreSettings(url=f"redis://127.0.0.1:{free_port()}/0", prefix="x")))
    with pytest.raises(RetryableError, match="the database is away"):
        run(over(timescale=TimescaleStoreSettings(url=f"postgresql://u@127.0.0.1:{free_port()}/d")))
    with pytest.raises(PermanentError, match="no store that can be asked"):
        run(over())


def test_a_stale_symbol_is_one_without_a_record_for_five_minutes() -> None:
    now = 1_000 * SECOND
    seen = {"a": now - 300 * SECOND, "b": now - 301 * SECOND, "ahead": now + SECOND}
    assert stale_symbols(["a", "b", "c", "ahead"], seen, now) == {"b": 301.0, "c": None}
