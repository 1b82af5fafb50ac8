"""No server outlives the test session that started it, not even one that was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.conftest import PROJECT, require, wait_for
from tests.support.tied import tied

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")

SESSION = """
import pytest
from tests.support.{name} import {fixtures}

def test_that_hangs({name}):
    print("serving", flush=True)
    __import__("time").sleep(600)
"""


def members(sessions: set[int]) -> list[psutil.Process]:
    """Living processes of these sessions: a server, and what it started."""
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            stat = Path(f"/proc/{process.pid}/stat").read_text()
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[3]) in sessions and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


@pytest.mark.parametrize(
    ("name", "server"), [("valkey", "valkey"), ("postgres", "postgres"), ("broker", "java")], ids=lambda value: value
)
def test_a_server_ends_when_pytest_is_killed(name: str, server: str, tmp_path: Path) -> None:
    require(tied(["true"]) != ["true"], "no setpriv (util-linux)")
    (tmp_path / "test_session.py").write_text(SESSION.format(name=name, fixtures=name))
    options = ["-s", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", f"--rootdir={tmp_path}"]
    command = [sys.executable, "-m", "pytest", *options, f"--basetemp={tmp_path / 'temporary'}", str(tmp_path)]
    with (tmp_path / "log").open("wb") as log:
        session = subprocess.Popen(tied(command), cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    servers: list[psutil.Process] = []
    try:

        def serving() -> bool:
            text = (tmp_path / "log").read_text()
            assert session.poll() is None, text
            return "serving" in text

        wait_for(serving, f"{name} to serve", seconds=120)
        children = psutil.Process(session.pid).children()
        servers = members({child.pid for child in children})
        assert any(server in process.name() for process in servers), servers
        session.send_signal(signal.SIGKILL)
        assert session.wait(10) == -signal.SIGKILL
        wait_for(lambda: not members({child.pid for child in children}), f"{name} to end", seconds=30)
    finally:
        session.kill()
        session.wait(10)
        for process in servers:
            if process.is_running():
                process.kill()


def test_the_signal_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    require(tied(["true"]) != ["true"], "no setpriv (util-linux)")
    told = tmp_path / "told"
    child = f"trap 'echo INT > {told}; exit' INT; echo ready; while :; do sleep 0.05; done"
    parent = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
    command = [sys.executable, "-c", parent, *tied(["sh", "-c", child], death=signal.SIGINT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"ready\n"
        started.kill()
        assert started.stdout.read() == b"", "its output ends with it"
    assert told.read_text() == "INT\n"


def test_another_thread_is_refused() -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(AssertionError, match="ends with that thread"):
        pool.submit(tied, ["true"]).result()
