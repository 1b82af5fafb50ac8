"""A run in surroundings that were never thought of: docs/decisions/0125 has what was tried, one by one."""

from __future__ import annotations

import signal

import pytest

from tests.services.local.runs import Runs
from tests.services.local.test_environment import HOSTILE

AWKWARD = "a b,c\"d\\e'%41#ü;f"
"""Every character here is special to one of the servers: Kafka, Valkey, Flink, a shell, a URL."""
SHADOWS = ("aiohttp", "click", "httpx", "json", "kafka", "logging", "psycopg", "pydantic", "redis", "uvloop", "yaml")
"""Modules of the working folder that are named as ones that some process imports."""


@pytest.mark.timeout(600)
def test_a_run_in_a_shell_and_a_folder_that_are_against_it(runs: Runs) -> None:
    work, home = runs.folder / "work", runs.folder / "home"
    work.mkdir()
    home.mkdir()
    for name in SHADOWS:
        (work / f"{name}.py").write_text(f"raise SystemExit('{name}.py of the working folder was imported')")
    runs.folder, runs.state = work, home / AWKWARD
    runs.environment = HOSTILE
    runs.start_as(["sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh", *runs.command()])
    runs.wait_until_ready()
    assert runs.query("gaps", "BTCUSDT") == [], "while it runs"
    assert runs.end(signal.SIGINT) == 130
    assert runs.processes() == []
    assert runs.query("gaps", "BTCUSDT") == [], "when it has ended"
    assert {entry.name for entry in home.iterdir()} == {AWKWARD}, "nothing is written beside the state folder"
    text = runs.log.read_text()
    assert "restarting" not in text
    assert "Traceback" not in text
