"""The command: what it says to wrong input, and what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.flink_jobs.examples import plain_settings


def command(tmp_path: Path, settings: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
    config = tmp_path / "job.json"
    config.write_text(json.dumps(settings))
    arguments = [sys.executable, "-m", "marketpipeline_job", "--config", str(config), *options]
    return subprocess.run(arguments, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)


def test_it_prints_what_would_run_without_a_password(tmp_path: Path) -> None:
    kafka = {"bootstrap_servers": "b:1", "username": "job", "password": "hidden"}
    done = command(tmp_path, plain_settings(kafka=kafka), "--print-sql")
    assert done.returncode == 0, done.stderr
    assert "EXECUTE STATEMENT SET BEGIN" in done.stdout
    assert "hidden" not in done.stdout


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"window": ["1m"]}, "window"),
        ({"parallelism": 0}, "parallelism"),
        ({"feeds": ["books"]}, "feeds.0"),
        ({"thresholds": {}}, "imbalance_medium"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    done = command(tmp_path, plain_settings(**change))
    assert done.returncode == 2
    assert named in done.stderr


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "marketpipeline_job", "--config", str(tmp_path / "absent.json")]
    done = subprocess.run(arguments, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "absent.json" in done.stderr


def test_only_a_local_folder_that_can_be_written(tmp_path: Path) -> None:
    done = command(tmp_path, plain_settings(checkpoint_directory="s3://bucket/path"))
    assert done.returncode == 2
    assert "local folder" in done.stderr
    (tmp_path / "file").write_text("")
    done = command(tmp_path, plain_settings(checkpoint_directory=(tmp_path / "file").as_uri()))
    assert done.returncode == 2
    assert "can be written" in done.stderr


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        http = {"host": "127.0.0.1", "port": taken.getsockname()[1]}
        done = command(tmp_path, plain_settings(http=http, checkpoint_directory=tmp_path.as_uri()))
    assert done.returncode == 2
    assert "http.port" in done.stderr
