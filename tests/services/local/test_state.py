"""The state folder: one owner at a time, of one pipeline, one format and one kind of exchange."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from marketpipeline.errors import InvalidInput, RetryableError
from marketpipeline.local import state as module
from marketpipeline.local.state import FORMAT, StateFolder, choose_folder

from tests.conftest import require

HOLDER = """
import sys, time
from pathlib import Path
from marketpipeline.local.state import StateFolder
folder = StateFolder.open(Path(sys.argv[1]), "crypto", "simulated")
print("held", flush=True)
time.sleep(600)
"""


def opened(path: Path, pipeline: str = "crypto", source: str = "simulated", wait: float = 0.0) -> StateFolder:
    return StateFolder.open(path, pipeline, source, wait_seconds=wait)


def refusal(path: Path, pipeline: str = "crypto", source: str = "simulated") -> str:
    with pytest.raises(InvalidInput) as caught:
        opened(path, pipeline, source)
    (problem,) = caught.value.problems
    assert problem.field == "--state"
    assert problem.value == str(path)
    return problem.expected


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_new_folder_is_made_and_taken_up_again(path: Path) -> None:
    first = opened(path)
    secret = first.password("postgres")
    first.close()
    second = opened(path)
    assert second.password("postgres") == secret
    assert second.password("valkey") != secret
    assert second.pipeline == "crypto"
    second.close()


def test_in_use_names_the_process(path: Path, holder: subprocess.Popen[str]) -> None:
    assert f"is in use by process {holder.pid}" in refusal(path)


def test_free_again_when_its_holder_was_killed(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    opened(path).close()


def test_waits_for_the_reaper_of_a_dead_holder(path: Path, tmp_path: Path) -> None:
    """The reaper has inherited the lock and lets it go when all is tidy."""
    first = opened(path)
    (path / "lock").write_text("999999999")
    os.set_inheritable(first.lock, True)
    reaper = subprocess.Popen(["sleep", "0.7"], close_fds=False)
    first.close()
    second = opened(path, wait=10.0)
    assert reaper.poll() is not None or reaper.wait(5) == 0
    second.close()


def test_another_format(path: Path) -> None:
    opened(path).close()
    (path / "version.json").write_text(json.dumps({"format": FORMAT + 1, "pipeline": "crypto", "source": "simulated"}))
    assert f"was written in format {FORMAT + 1} by another release" in refusal(path)
    assert json.loads((path / "version.json").read_text())["format"] == FORMAT + 1


def test_another_pipeline(path: Path) -> None:
    opened(path).close()
    assert "belongs to pipeline 'crypto', not to 'stocks'" in refusal(path, pipeline="stocks")


def test_another_kind_of_exchange(path: Path) -> None:
    opened(path).close()
    assert "holds data of a simulated exchange, which is not to be mixed with live data" in refusal(path, source="live")


def test_a_folder_of_something_else_is_not_touched(path: Path) -> None:
    path.mkdir(parents=True)
    (path / "thesis.tex").write_text("x")
    assert "is neither empty nor a state folder" in refusal(path)


def test_a_file_in_the_place(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("x")
    assert "cannot be written" in refusal(path)


def test_no_disk_space(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 40, (1 << 40) - (100 << 20), 100 << 20))
    expected = refusal(path)
    assert "100 MiB left, a run needs at least 1024 MiB" in expected
    monkeypatch.undo()
    opened(path).close()


def test_a_refusal_lets_the_lock_go(path: Path) -> None:
    opened(path).close()
    refusal(path, pipeline="stocks")
    opened(path).close()


def test_what_is_secret_is_the_owners(path: Path) -> None:
    folder = opened(path)
    folder.password("postgres")
    settings = folder.write_settings("api", {"password": "x"})
    for name in (path / "secrets.json", settings):
        assert stat.S_IMODE(name.stat().st_mode) == 0o600
    folder.close()


def test_a_large_log_is_put_aside(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = opened(path)
    folder.log("broker").write_bytes(b"x" * (17 << 20))
    assert not folder.log("broker").exists()
    assert (path / "logs" / "broker.log.1").stat().st_size == 17 << 20
    folder.close()


def test_live_is_replaced_whole(path: Path) -> None:
    folder = opened(path)
    assert folder.read_live() == {}
    folder.write_live({"components": {"api": {"pid": 1}}})
    assert folder.read_live() == {"components": {"api": {"pid": 1}}}
    (path / "state.json").write_text("{ torn")
    assert folder.read_live() == {}
    folder.close()


def test_existing(path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no state of a pipeline"):
        StateFolder.open_existing(path, wait_seconds=0)
    opened(path).close()
    folder = StateFolder.open_existing(path, wait_seconds=0)
    assert folder.pipeline == "crypto"
    folder.close()


def test_the_folder_without_being_named(tmp_path: Path) -> None:
    plain = choose_folder("crypto", "simulated", tmp_path)
    assert plain == tmp_path / "crypto"
    opened(plain).close()
    assert choose_folder("crypto", "simulated", tmp_path) == plain
    assert choose_folder("crypto", "live", tmp_path) == tmp_path / "crypto-live"
    assert choose_folder("stocks", "live", tmp_path) == tmp_path / "stocks"


def test_the_limit_is_what_is_documented() -> None:
    assert module.LEAST_FREE_BYTES == 1 << 30


def test_on_a_full_disk_the_former_state_stays(path: Path) -> None:
    folder = opened(path)
    folder.write_live({"phase": "running"})
    begun = path / ".state.json.new"
    begun.symlink_to("/dev/full")
    with pytest.raises(RetryableError, match=r"state\.json cannot be written: No space left on device"):
        folder.write_live({"phase": "ended"})
    assert folder.read_live() == {"phase": "running"}
    begun.unlink()
    folder.write_live({"phase": "ended"})
    assert folder.read_live() == {"phase": "ended"}
    folder.close()


def test_another_user_is_told_whose_folder_it_is() -> None:
    """As after a run as root on a user's folder; a process of its own, since only its ids are another user's."""
    require(os.geteuid() == 0, "not root: cannot become another user")
    with TemporaryDirectory() as root:
        Path(root).chmod(0o777)
        path = Path(root) / "state"
        StateFolder.open(path, "crypto", "simulated").close()
        path.chmod(0o777)
        for entry in path.iterdir():
            entry.chmod(0o666)
        (path / "postgres").mkdir(mode=0o700)
        expected = f"cannot be used: {path}/postgres is drwx------ of user 0, and this is 65534; run as that user"
        for opens in (
            lambda: StateFolder.open(path, "crypto", "simulated"),
            lambda: StateFolder.open_existing(path, wait_seconds=0.0),
        ):
            assert expected in _said_to_another_user(opens)


def _said_to_another_user(opens: Callable[[], object]) -> str:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            opens()
        except InvalidInput as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        return said.read()
