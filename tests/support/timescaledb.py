"""A TimescaleDB that is really there, for tests: PostgreSQL 17 with the extension, in WebAssembly, run by Node.

It has one session: whoever connects waits until the connection before has ended. A suite takes the fixture into its
`conftest.py`: `from tests.support.timescaledb import timescaledb  # noqa: F401`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT, require
from tests.support.tied import tied

__all__ = ["timescaledb"]

_FOLDER = PROJECT / "tests" / "services" / "sinks" / "timescaledb"


@pytest.fixture(scope="module")
def timescaledb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database that offers the extension."""
    node = shutil.which("node")
    require(node, "no Node to run TimescaleDB in WebAssembly")
    require((_FOLDER / "node_modules").is_dir(), f"no Node packages in {_FOLDER}: run `make setup-test`")
    log = tmp_path_factory.mktemp("timescaledb") / "log"
    with log.open("wb") as err:
        process = subprocess.Popen(
            tied([str(node), "server.mjs"]), cwd=_FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err
        )
    try:
        yield f"postgresql://postgres@127.0.0.1:{_port(process, log)}/postgres?sslmode=disable"
    finally:
        process.kill()
        process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        pytest.fail(f"TimescaleDB did not start: {log.read_text()[-2000:]}")
    return int(json.loads(line)["port"])
