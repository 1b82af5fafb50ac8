"""The application as a whole: its OpenAPI document, and that a defect shows nothing of itself."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from marketpipeline.api.app import create_app
from marketpipeline.settings import ApiSettings

from tests.services.sinks.samples import BTC


@pytest.fixture
def settings() -> ApiSettings:
    return ApiSettings(pipeline="test", symbols=[BTC], windows=["1m"], max_rows=100)


def test_the_document_names_every_path_with_its_answers(settings: ApiSettings) -> None:
    document = create_app(settings).openapi()
    market = ("realtime", "summary", "top-by-trades", "top-by-volume", "ticker-health")
    analytics = ["klines/{symbol}", "book/{symbol}", "trades-count", "alerts", "alerts/whale-alerts"]
    analytics += ["events", "late-trades", "trades/{symbol}"]
    wanted = {f"/api/v1/market/{path}" for path in market} | {f"/api/v1/analytics/{path}" for path in analytics}
    wanted |= {f"/api/v3/{path}" for path in ("ping", "time", "exchangeInfo", "klines", "ticker/24hr", "depth")}
    wanted |= {f"/api/v1/system/{path}" for path in ("health", "tiers", "coverage")}
    assert set(document["paths"]) >= wanted | {"/api/v1/stream", "/metrics"}
    for path, operations in document["paths"].items():
        answers = operations["get"]["responses"]
        assert "422" not in answers
        if path.startswith("/api/v1") and "stream" not in path:
            assert "schema" in answers["200"]["content"]["application/json"], path
        if "analytics" in path or "market" in path:
            assert list(answers["400"]["content"]) == ["application/problem+json"]


def test_parameters_are_described_with_examples_and_bounds(settings: ApiSettings) -> None:
    document = create_app(settings).openapi()
    parameters = document["paths"]["/api/v1/analytics/klines/{symbol}"]["get"]["parameters"]
    found: dict[str, Any] = {parameter["name"]: parameter for parameter in parameters}
    assert list(found) == ["symbol", "from", "to", "limit", "cursor", "interval"]
    assert found["symbol"]["schema"]["examples"] == ["binance:BTCUSDT"]
    bounds = {"type": "integer", "minimum": 1, "maximum": 100, "default": 100}
    assert found["limit"]["schema"].items() >= bounds.items()
    assert found["interval"]["schema"]["enum"] == ["1m"]
    assert all(parameter["description"] for parameter in parameters)


def test_rows_have_examples_that_fit_them(settings: ApiSettings) -> None:
    from marketpipeline.api import models

    schemas = create_app(settings).openapi()["components"]["schemas"]
    for name, model in (
        ("Candle", models.CandleRow),
        ("BookMetrics", models.BookRow),
        ("Alert", models.AlertRow),
        ("Ticker", models.TickerRow),
        ("FeedEvent", models.FeedEventRow),
        ("LateTrade", models.LateTradeRow),
    ):
        example = model.model_config["json_schema_extra"]["example"]  # type: ignore[attr-defined]
        assert set(schemas[name]["required"]) == set(example)
        model.model_validate(example)  # type: ignore[attr-defined]
        shown = schemas[name]["example"]
        assert shown == {key: value for key, value in example.items() if value is not None}, "null is not shown"


async def test_a_defect_shows_nothing_of_itself(settings: ApiSettings, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(settings)

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secret of the house")

    app.state.readers.newest = broken
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        answer = await client.get("/api/v1/market/realtime")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "the request failed; the server's log says why"
    assert "secret" not in answer.text
    assert "ZeroDivisionError" in caplog.text
