"""Fixtures of the local platform's tests."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import FLINK_PYTHON, JARS, require
from tests.services.local.runs import Runs
from tests.support.broker import broker  # noqa: F401
from tests.support.valkey import valkey  # noqa: F401


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    require(FLINK_PYTHON.exists(), "no Flink environment: run `make setup`")
    require((JARS / "kafka").is_dir(), "no Kafka jars: run `make setup`")
    require(shutil.which("java"), "no Java")
    found = Runs(tmp_path)
    yield found
    if found.process is not None and found.process.poll() is None:
        found.end(signal.SIGTERM)
