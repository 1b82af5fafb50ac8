"""Keys and limits in front of the paths, and what a browser of another origin is told."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from marketpipeline.api.access import TICKET_SECONDS, ApiKeys
from marketpipeline.api.models import StreamTicket

from tests.services.api.serving import Api, Stores, serving
from tests.services.sinks.samples import trade

PATH = "/api/v1/market/realtime"


async def test_who_asks_too_often_is_told_when_to_ask_again(stores: Stores) -> None:
    stores.put(trade(1))
    async with serving(stores.settings(rate_limit={"requests": 2, "seconds": 60})) as api:
        answers = [await api.client.get(PATH) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
        assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"2"}
        refused = answers[2]
        assert 0 < int(refused.headers["retry-after"]) <= 120
        assert refused.headers["retry-after"] == refused.headers["x-ratelimit-reset"]
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["detail"] == "2 requests within 60 s are allowed; wait"
        binance = await api.client.get("/api/v3/ping")
        assert (binance.status_code, binance.json()["code"]) == (429, -1003)
        for path in ("/health", "/health/live", "/metrics", "/openapi.json", "/docs"):
            assert (await api.client.get(path)).status_code == 200, path


async def test_a_client_needs_its_key(stores: Stores, tmp_path: Path) -> None:
    (tmp_path / "dashboard").write_text("first-key\n")
    (tmp_path / "research").write_text("second-key")
    (tmp_path / "..data").mkdir()
    (tmp_path / "empty").touch()
    settings = stores.settings(keys_folder=tmp_path, rate_limit={"requests": 3, "seconds": 60})
    async with serving(settings) as api:
        for headers in ({}, {"X-API-Key": "third"}, {"X-API-Key": ""}, {"Authorization": "Basic first-key"}):
            answer = await api.client.get(PATH, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="marketpipeline"')
            assert answer.headers["content-type"] == "application/problem+json"
        for headers in (
            {"X-API-Key": "first-key"},
            {"Authorization": "Bearer second-key"},
            {"X-MBX-APIKEY": "first-key"},
        ):
            answer = await api.client.get(PATH, headers=headers)
            assert answer.status_code == 200
        assert answer.headers["x-ratelimit-remaining"] == "1", "each key has a limit of its own"
        assert (await api.client.get("/health")).status_code == 200


async def test_a_browser_opens_the_stream_with_a_ticket(stores: Stores, tmp_path: Path) -> None:
    (tmp_path / "dashboard").write_text("first-key")
    async with serving(stores.settings(keys_folder=tmp_path)) as api:
        assert (await api.client.get("/api/v1/stream/ticket")).status_code == 401
        answer = await api.client.get("/api/v1/stream/ticket", headers={"X-API-Key": "first-key"})
        StreamTicket.model_validate(answer.json())
        assert (answer.headers["cache-control"], answer.json()["expires_in"]) == ("no-store", 30)
        ticket = answer.json()["ticket"]
        asked = {"ticket": ticket}
        assert (await api.client.get("/api/v1/stream", params=asked)).status_code == 501, "let in; a broker it has not"
        assert (await api.client.get("/api/v1/market/realtime", params=asked)).status_code == 401, (
            "for the stream alone"
        )
        until, name, signature = ticket.split(".")
        for wrong in ("", "x", f"{until}.{name}.", f"{int(until) + 1}.{name}.{signature}", f"{until}.YQ==.{signature}"):
            refused = await api.client.get("/api/v1/stream", params={"ticket": wrong})
            assert refused.status_code == 401, wrong
        assert "or ?ticket= of a ticket from /api/v1/stream/ticket" in refused.json()["detail"]
    async with serving(stores.settings()) as api:
        assert (await api.client.get("/api/v1/stream/ticket")).json() == {"ticket": None, "expires_in": None}


def test_a_ticket_ends_with_its_time_and_with_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "someone").write_text("key")
    keys, another = ApiKeys(tmp_path), ApiKeys(tmp_path)
    ticket = keys.ticket("someone")
    assert another.holder(ticket) == "someone", "each replica knows it"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + TICKET_SECONDS + 1)
    assert keys.holder(ticket) is None
    monkeypatch.undo()
    (tmp_path / "someone").write_text("new key")
    keys._read_at -= 60
    assert keys.holder(ticket) is None


def test_keys_come_and_go_without_a_restart(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path)
    assert keys.client("key") is None
    (tmp_path / "someone").write_text("key")
    assert keys.client("key") is None
    keys._read_at -= 60
    assert keys.client("key") == "someone"
    (tmp_path / "someone").unlink()
    keys._read_at -= 60
    assert keys.client("key") is None


async def test_pages_of_other_origins(stores: Stores) -> None:
    async def ask(api: Api, origin: str) -> httpx.Response:
        return await api.client.get(PATH, headers={"Origin": origin})

    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    asked["Access-Control-Request-Headers"] = "x-api-key"
    settings = stores.settings(cors_origins=["https://a.example"], rate_limit={"requests": 1, "seconds": 60})
    async with serving(settings) as api:
        before = await api.client.options(PATH, headers=asked)
        assert (before.status_code, before.headers["access-control-max-age"]) == (200, "600")
        allowed = await ask(api, "https://a.example")
        assert allowed.headers["access-control-allow-origin"] == "https://a.example"
        assert "X-RateLimit-Remaining" in allowed.headers["access-control-expose-headers"]
        refused = await ask(api, "https://a.example")
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (429, "https://a.example")
        assert "access-control-allow-origin" not in (await ask(api, "https://b.example")).headers
    async with serving(stores.settings()) as api:
        assert "access-control-allow-origin" not in (await ask(api, "https://a.example")).headers
