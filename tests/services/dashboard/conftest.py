"""A dashboard over an API over real stores and a real broker, in a market that moves; and a browser."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from marketpipeline.local.extras import absent
from marketpipeline.topics import TopicKind

from tests.conftest import free_port, require, wait_for
from tests.services.api.serving import Stores
from tests.services.dashboard.market import SYMBOLS, Feeder, before, walks
from tests.services.sinks.stores import PostgresStore, ValkeyStore
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker, broker  # noqa: F401
from tests.support.postgres import PASSWORD, RunningPostgres, database, postgres  # noqa: F401
from tests.support.tied import tied
from tests.support.valkey import RunningValkey, valkey  # noqa: F401

FEEDS = ["book", "trades"]
WINDOWS = ["1m", "5m"]


class Program:
    """A process of this project with its settings file; it is ready when `/health` says so."""

    def __init__(self, component: str, settings: dict[str, Any], folder: Path) -> None:
        self.component = component
        self.url = f"http://127.0.0.1:{settings['http']['port']}"
        self._config, self._log = folder / f"{component}.json", folder / f"{component}.log"
        self._config.write_text(json.dumps(settings))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-P", "-m", "marketpipeline", self.component, "--config", str(self._config)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(tied(command), stdout=log, stderr=log)
        wait_for(self._is_ready, f"{self.component} is ready", seconds=240)

    def stop(self) -> int:
        if self._process is None:
            return 0
        self._process.terminate()
        status, self._process = self._process.wait(30), None
        return status

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)
        self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            return httpx.get(f"{self.url}/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


class Running:
    """All of it."""

    def __init__(self, api: Program, dashboard: Program) -> None:
        self.api, self.dashboard = api, dashboard


@pytest.fixture(scope="package")
def running(
    postgres: RunningPostgres,  # noqa: F811
    valkey: RunningValkey,  # noqa: F811
    broker: RunningBroker,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """Everything started, with data."""
    folder, moving = tmp_path_factory.mktemp("dashboard"), walks()
    stores = Stores(PostgresStore(postgres, postgres.create_database()), ValkeyStore(valkey))
    stores.put(*before(moving))
    topics = Topics(broker)
    topics.create(TopicKind.BOOK)
    asked = {"symbols": SYMBOLS, "windows": WINDOWS, "feeds": FEEDS}
    settings = stores.settings(
        **asked, kafka=topics.kafka, topic_prefix=topics.prefix, http={"host": "127.0.0.1", "port": free_port()}
    ).model_dump(mode="json")
    for store in ("timescale", "redis"):
        settings["stores"][store]["password"] = PASSWORD
    api = Program("api", settings, folder)
    http = {"host": "127.0.0.1", "port": free_port()}
    dashboard = Program("dashboard", {"pipeline": "crypto", "http": http, "api": {"url": api.url}, **asked}, folder)
    feeder = Feeder(topics, moving)
    try:
        api.start()
        feeder.start()
        dashboard.start()
        yield Running(api, dashboard)
    finally:
        feeder.stop()
        dashboard.stop()
        api.stop()


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Debian's browser."""
    program = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    require(program, "no browser: apt-get install chromium-headless-shell")
    require(absent("browser") == [], "no Playwright: run `make setup-test`")
    from playwright import sync_api

    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()
