"""A server that refuses root runs as another user, and reaches its files also below a private folder; what a run left
behind is ended."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest
from marketpipeline.local.components.postgres import give, unprivileged_user
from marketpipeline.local.process import created_at, end_leftovers, privileges

from tests.conftest import require


@pytest.fixture
def user() -> str:
    require(os.geteuid() == 0, "not root: nothing to give up")
    require(shutil.which("setpriv"), "no setpriv (util-linux)")
    found = unprivileged_user()
    require(found, "neither a user postgres nor nobody")
    assert found is not None
    return found


def as_user(user: str, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["setpriv", *privileges(user, [folder]), "--", *command], capture_output=True, text=True, check=False
    )


def test_nobody_else_needs_it() -> None:
    assert privileges(None, [Path("/")]) == []


def test_root_is_given_up(user: str, tmp_path: Path) -> None:
    assert as_user(user, tmp_path, "id", "-un").stdout.strip() == user


def test_its_own_folder_below_a_private_one(user: str, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    own = private / "data"
    own.mkdir(mode=0o700)
    give(own, user)
    before = private.stat().st_mode
    done = as_user(user, own, "touch", str(own / "file"))
    assert done.returncode == 0, done.stderr
    assert (own / "file").owner() == user
    assert private.stat().st_mode == before
    assert as_user(user, own, "touch", str(private / "file")).returncode != 0


def test_giving_again_changes_nothing(user: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "file").touch()
    give(folder, user)
    give(folder, user)
    assert (folder / "file").owner() == user
    give(folder, None)
    assert folder.owner() == user


def test_only_the_very_process_is_ended() -> None:
    processes = [subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(2)]
    left, reused = processes
    try:
        live = {
            "mark": "x",
            "components": {
                "broker": {"process": left.pid, "created": created_at(left.pid)},
                "api": {"process": reused.pid, "created": 12.5},
                "sink": {"process": None, "created": None},
            },
        }
        assert end_leftovers(live) == 1
        assert left.wait(timeout=5) != 0
        assert reused.poll() is None
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_nothing_left() -> None:
    assert end_leftovers({}) == 0
    assert created_at(psutil.pids()[-1] + 10_000_000) is None
