"""Health and metrics."""

from __future__ import annotations

import asyncio
import re
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
from marketpipeline.api.models import CoverageAnswer, SystemHealth, Tiers
from marketpipeline.sink_kinds.lake import LakeStoreSettings
from marketpipeline.sinks.timescale.migrate import migrations
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from pydantic import SecretStr

from tests.conftest import wait_for
from tests.services.api.serving import Api, Stores, serving
from tests.services.sinks.samples import BTC, ETH, START, book, candle, feed_event, trade

PATH = "/api/v1/system/health"


async def test_both_stores_answer(api: Api, stores: Stores) -> None:
    now = int(datetime.now(UTC).timestamp() * 1e6)
    stores.put(trade(1, receive_time=now - 5_000_000), book(1, receive_time=now - 2_000_000), candle(receive_time=now))
    body = await api.get(PATH)
    SystemHealth.model_validate(body)
    assert (body["status"], body["pipeline"]) == ("ok", "test")
    assert body["stores"]["timescale"]["schema_version"] == migrations()[-1].version
    assert body["stores"]["redis"] | {"latency_ms": 0} == {
        "status": "ok",
        "error": None,
        "latency_ms": 0,
        "schema_version": None,
    }
    btc, eth, _ = body["symbols"]
    assert btc["symbol"] == BTC
    assert 0 <= btc["age_ms"] <= btc["book_age_ms"] - 2_000 <= btc["trade_age_ms"] - 5_000 < 20_000
    assert eth == {"symbol": ETH, "trade_age_ms": None, "book_age_ms": None, "candle_age_ms": None, "age_ms": None}


async def test_ages_of_what_the_cache_lacks(api: Api, stores: Stores) -> None:
    now = int(datetime.now(UTC).timestamp() * 1e6)
    stores.put(trade(1, receive_time=now), only="redis")
    stores.put(book(1, receive_time=now - 60_000_000), only="timescale")
    body = await api.get(PATH)
    assert 0 <= body["symbols"][0]["trade_age_ms"] < 20_000
    assert body["symbols"][0]["book_age_ms"] >= 60_000


async def test_one_store_is_away(stores: Stores) -> None:
    away = stores.valkey.settings.model_copy(update={"url": "redis://127.0.0.1:1/0"})
    stores.put(trade(1))
    async with serving(stores.settings(redis=away)) as api:
        body = await api.get(PATH)
        assert (await api.get("/health"))["status"] == "degraded"
    SystemHealth.model_validate(body)
    assert body["status"] == "degraded"
    assert body["stores"]["redis"]["status"] == "failed"
    assert "the cache is away" in body["stores"]["redis"]["error"]
    assert body["symbols"][0]["age_ms"] is not None


async def test_no_store_answers(stores: Stores) -> None:
    redis = stores.valkey.settings.model_copy(update={"url": "redis://127.0.0.1:1/0"})
    timescale = stores.postgres.settings.model_copy(update={"url": "postgresql://x@127.0.0.1:1/x"})
    async with serving(stores.settings(redis=redis, timescale=timescale)) as api:
        body = await api.get(PATH, 503)
        assert (await api.get("/health", 503))["status"] == "failed"
        assert (await api.get("/health/live")) == {"alive": True}
        answer = await api.client.get("/api/v1/market/realtime")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        answer = await api.client.get("/api/v1/analytics/klines/BTCUSDT")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.json()["detail"] == "the database is away or has too much to do"
    SystemHealth.model_validate(body)
    assert body["status"] == "failed"


async def test_a_password_that_was_changed_is_told_as_that(stores: Stores) -> None:
    """Of connections that are open and of new ones; the right one heals it."""
    role = f"reader_{uuid.uuid4().hex[:8]}"

    def admin(statement: str) -> None:
        with psycopg.connect(stores.postgres.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    admin(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'first'")
    url = re.sub("//[^@]+@", f"//{role}@", stores.postgres.settings.url)
    mine = stores.postgres.settings.model_copy(update={"url": url, "password": SecretStr("first")})
    async with serving(stores.settings(timescale=mine, redis=None)) as api:

        async def until(path: str, status: int) -> httpx.Response:
            """The connections that are ended may answer for a moment, and one that is let in again takes its time."""
            async with asyncio.timeout(60):
                while (found := await api.client.get(path)).status_code != status:
                    pass
            return found

        assert (await api.get("/health"))["status"] == "ok"
        admin(f"ALTER ROLE {role} PASSWORD 'second'")
        admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")
        said = (await until("/health", 503)).text
        assert "password authentication failed" in said
        said = (await api.get(PATH, 503))["stores"]["timescale"]["error"]
        assert f'password authentication failed for user "{role}"' in said
        admin(f"ALTER ROLE {role} PASSWORD 'first'")
        await until("/health", 200)
    admin(f"DROP ROLE {role}")


async def test_a_database_without_tables(stores: Stores) -> None:
    name = stores.postgres.server.create_database()  # type: ignore[union-attr]
    url = stores.postgres.settings.url.rpartition("/")[0] + f"/{name}"
    empty = stores.postgres.settings.model_copy(update={"url": url})
    async with serving(stores.settings(timescale=empty)) as api:
        body = await api.get("/api/v1/analytics/klines/BTCUSDT", 503)
    assert body["detail"] == "the database has no tables yet: no sink has made them"


async def test_what_there_is_of_each_day(api: Api, stores: Stores) -> None:
    """Two candles before midnight, one after it; a gap in the trades of a day without any, one in the book."""
    stores.put(*(candle(n) for n in (4, 5, 6)), candle(0, interval="5m"), candle(5, ETH), book(1))
    gap: dict[str, Any] = {"event_time": START + 2 * 86_400_000_000, "feed": "trades"}
    stores.put(feed_event(id="one", **gap), feed_event(0), feed_event(1, id="c", kind="resync", feed="trades"))
    body = await api.get("/api/v1/system/coverage", symbols="BTCUSDT")
    CoverageAnswer.model_validate(body)
    assert body == {"table": "candles", "left_out": 0, "days": [
        {"symbol": BTC, "day": "2024-08-08", "store": "timescale", "rows": 2, "gaps": 0,
         "first": "2024-08-08T23:58:00.000000Z", "last": "2024-08-08T23:59:00.000000Z"},
        {"symbol": BTC, "day": "2024-08-09", "store": "timescale", "rows": 1, "gaps": 0,
         "first": "2024-08-09T00:00:00.000000Z", "last": "2024-08-09T00:00:00.000000Z"},
        {"symbol": BTC, "day": "2024-08-10", "store": None, "rows": 0, "gaps": 1, "first": None, "last": None},
    ]}  # fmt: skip
    newest = await api.get("/api/v1/system/coverage", limit=1)
    assert (newest["left_out"], newest["days"]) == (3, body["days"][2:])
    of_book = await api.get("/api/v1/system/coverage", table="book_metrics", to="2024-08-09")
    assert [(day["rows"], day["gaps"]) for day in of_book["days"]] == [(1, 1)]


async def test_the_tiers(stores: Stores, tmp_path: Path) -> None:
    stores.put(trade(1))
    stores.postgres.query("INSERT INTO archived_days VALUES ('trades', '2024-08-01', 5, now(), NULL) RETURNING 1")
    stores.postgres.query("INSERT INTO kept_back_days VALUES ('trades', '2024-08-02', 'x', '2024-11-07Z') RETURNING 1")
    lake = LakeStoreSettings(url=(tmp_path / "lake").as_uri())
    measured = InMemoryMetricReader()
    meter = MeterProvider([measured]).get_meter("test")
    async with serving(stores.settings(lake=lake), meter) as api:
        body = await api.get("/api/v1/system/tiers")
        await asyncio.to_thread(wait_for, lambda: observed(measured, "api.tier.days.kept.back"), "the days kept back")
        told = observed(measured, "api.tier.days.kept.back")
    Tiers.model_validate(body)
    kept = {"table": "trades", "day": "2024-08-02", "reason": "x", "since": "2024-11-07T00:00:00.000000Z"}
    said = "the lake has no tables yet: no sink has made them"
    assert body == {"tiers": [
        {"tier": "hot", "store": "redis", "error": None, "archived_days": {}, "kept_back": []},
        {"tier": "warm", "store": "timescale", "error": None, "archived_days": {"trades": 1}, "kept_back": [kept]},
        {"tier": "cold", "store": "lake", "error": said, "archived_days": {}, "kept_back": []},
    ]}  # fmt: skip
    assert {point.attributes["table"] for point in told if point.value} == {"trades"}


def observed(measured: InMemoryMetricReader, name: str) -> list[Any]:
    data = measured.get_metrics_data()
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
    return [point for scope in scopes for one in scope.metrics if one.name == name for point in one.data.data_points]


async def test_parameters_are_refused(api: Api) -> None:
    body = await api.get("/api/v1/system/health", 400, verbose=1)
    assert body["problems"] == [{"field": "verbose", "value": "1", "expected": "takes no parameters"}]
