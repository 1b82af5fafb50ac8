"""A real PgBouncer in transaction mode before the PostgreSQL of the tests.

Servers are given out in turn, so that one client's next transaction is on another connection. A suite takes the fixture
into its `conftest.py`: `from tests.support.pgbouncer import pgbouncer  # noqa: F401`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import free_port, require, wait_for
from tests.support.postgres import PASSWORD, RunningPostgres
from tests.support.tied import tied

__all__ = ["pgbouncer", "pooling"]

_CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={server} user=marketpipeline password={password}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
min_pool_size = 3
server_round_robin = 1
"""


def _program() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@pytest.fixture(scope="session")
def pgbouncer(postgres: RunningPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Its port; any database of the server can be asked for."""
    with pooling(postgres, tmp_path_factory.mktemp("pgbouncer")) as port:
        yield port


@contextmanager
def pooling(postgres: RunningPostgres, folder: Path, *settings: str) -> Iterator[int]:
    """A PgBouncer of its own, with more of its settings; files that they name have to be in `folder`."""
    program = _program()
    require(program, "no pgbouncer: on Debian as root `make setup-test` installs it")
    port = free_port()
    file, log = folder / "pgbouncer.ini", folder / "log"
    text = _CONFIGURATION.format(server=postgres.port, port=port, password=PASSWORD)
    file.write_text(text + "".join(f"{line}\n" for line in settings))
    for path in (folder, *folder.parents):
        if path.name.startswith("pytest-") or path == folder:
            path.chmod(path.stat().st_mode | 0o011)
    file.chmod(0o644)
    as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
    with log.open("wb") as out:
        process = subprocess.Popen(tied([str(program), *as_nobody, str(file)]), stdout=out, stderr=out)
    try:
        wait_for(lambda: _listens(port, process, log), "pgbouncer listens")
        yield port
    finally:
        process.kill()
        process.wait()


def _listens(port: int, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        pytest.fail(f"pgbouncer ended: {log.read_text()[-2000:]}")
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
