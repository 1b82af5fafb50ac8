"""The application over real stores, filled by the sinks, asked over HTTP without a port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from marketpipeline.api.app import create_app
from marketpipeline.api.serving import Server
from marketpipeline.records import Record
from marketpipeline.settings import ApiSettings
from opentelemetry.metrics import Meter

from tests.services.sinks.samples import BTC, ETH, deliver
from tests.services.sinks.stores import PostgresStore, ValkeyStore
from tests.support.postgres import RunningPostgres
from tests.support.valkey import RunningValkey

__all__ = ["Api", "Stores", "api", "listening", "serving", "stores"]


class Stores:
    """Both stores, empty."""

    def __init__(self, postgres: PostgresStore, valkey: ValkeyStore) -> None:
        self.postgres, self.valkey = postgres, valkey

    def put(self, *records: Record, only: str | None = None) -> None:
        """Store records through the sinks, or through the one that is named."""
        for store in (self.postgres, self.valkey):
            sink = store.sink()
            if only in (None, sink.name):
                sink.open()
                if records:
                    sink.write(deliver(*records))
                sink.close()

    def settings(self, **changes: Any) -> ApiSettings:
        """Settings of an API over both."""
        fields: dict[str, Any] = {"symbols": [BTC, ETH, "okx:BTC-USDT"], "windows": ["1m", "5m"], "max_rows": 1_000}
        stores: dict[str, Any] = {"timescale": self.postgres.settings, "redis": self.valkey.settings}
        stores |= {name: changes.pop(name) for name in list(changes) if name in (*stores, "lake")}
        fields["stores"] = {name: store for name, store in stores.items() if store is not None}
        return ApiSettings(pipeline="test", **(fields | changes))


class Api:
    """An application being asked."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str, status: int = 200, /, **parameters: Any) -> Any:
        """The JSON body of an answer that has to have this status."""
        answer = await self.client.get(path, params=parameters)
        assert answer.status_code == status, answer.text
        is_report = status == 200 or (status == 503 and path.endswith("health"))
        wanted = "application/json" if is_report else "application/problem+json"
        assert answer.headers["content-type"] == wanted
        return answer.json()


@asynccontextmanager
async def serving(settings: ApiSettings, meter: Meter | None = None) -> AsyncIterator[Api]:
    """The application of these settings, between its start and its end."""
    app = create_app(settings, meter)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api", timeout=30) as client:
            yield Api(client)


@asynccontextmanager
async def listening(settings: ApiSettings) -> AsyncIterator[str]:
    """The application behind a port, as the process serves it; gives host:port."""
    app = create_app(settings)
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(app, settings)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        while not server.started:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
        yield "{}:{}".format(*listener.getsockname())
    finally:
        server.should_exit = True
        await serving
        listener.close()


@pytest.fixture
def stores(postgres: RunningPostgres, database: str, valkey: RunningValkey) -> Stores:
    """Both stores, empty; the database has its tables."""
    found = Stores(PostgresStore(postgres, database), ValkeyStore(valkey))
    found.put()
    return found


@pytest.fixture
async def api(stores: Stores) -> AsyncIterator[Api]:
    """An API over both."""
    async with serving(stores.settings()) as running:
        yield running
