"""Days moved by hand, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from marketpipeline.cli.tiers import archive, restore
from marketpipeline.errors import InvalidInput

from tests.services.sinks.samples import BTC, deliver, trade
from tests.services.sinks.stores import PostgresStore
from tests.support.postgres import PASSWORD, RunningPostgres, database, postgres  # noqa: F401


def test_days_go_and_come_back(postgres: RunningPostgres, database: str, tmp_path: Path) -> None:  # noqa: F811
    store = PostgresStore(postgres, database)
    sink = store.sink()
    sink.open()
    sink.write(deliver(*(trade(n) for n in range(10))))
    sink.close()
    config = tmp_path / "tiers.json"
    stores = {
        "timescale": {"url": store.settings.url, "password": PASSWORD},
        "lake": {"url": (tmp_path / "lake").as_uri()},
    }
    settings = {"pipeline": "test", "http": {"host": "127.0.0.1", "port": 0}, "symbols": [BTC], "windows": ["1m"]}
    config.write_text(json.dumps(settings | {"stores": stores, "grace_ms": 1}))
    days = ["--from", "2024-08-08", "--to", "2024-08-09", "--config", str(config)]
    done = CliRunner().invoke(archive, days)
    assert (done.exit_code, done.output) == (0, "2024-08-08 trades: 10 rows\n")
    assert store.query("SELECT count(*) FROM trades") == [(0,)]
    done = CliRunner().invoke(restore, days)
    assert (done.exit_code, done.output) == (0, "2024-08-08 trades: 10 rows\n")
    assert store.query("SELECT count(*) FROM trades") == [(10,)]


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        ("yesterday", "2024-08-09", "--from: 'yesterday': must be a day as 2026-08-01"),
        ("2024-08-09", "2024-08-09", "--to: '2024-08-09': must be later than --from"),
    ],
)
def test_days_that_are_none(since: str, until: str, said: str) -> None:
    done = CliRunner().invoke(archive, ["--from", since, "--to", until, "--config", "x"])
    assert isinstance(done.exception, InvalidInput)
    assert said in str(done.exception)
