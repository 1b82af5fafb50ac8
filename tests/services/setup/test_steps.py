"""What makes a step of the set-up stale."""

from __future__ import annotations

import fcntl
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from marketpipeline.setup.places import Places, places
from marketpipeline.setup.steps import Step, carry_out, in_use, run_steps, stale
from marketpipeline.setup.toolchain import SetupError


@pytest.fixture
def here(tmp_path: Path) -> Places:
    return replace(places(), cache=tmp_path / "cache")


def step(tmp_path: Path, runs: list[str], *, fails: bool = False, optional: bool = False) -> Step:
    lock, gives = tmp_path / "lock.txt", tmp_path / "given"
    lock.touch()

    def run() -> None:
        if fails:
            raise SetupError("no such thing here")
        runs.append("run")
        gives.touch()

    return Step("it", "it", "nothing", [lock], gives, run, optional)


def test_a_step_runs_once_and_again_when_its_lock_changes(tmp_path: Path, here: Places) -> None:
    runs: list[str] = []
    for _ in range(2):
        carry_out([step(tmp_path, runs)], here)
    assert len(runs) == 1
    (tmp_path / "lock.txt").write_text("changed")
    carry_out([step(tmp_path, runs)], here)
    assert len(runs) == 2


def test_a_step_runs_again_when_its_result_was_removed(tmp_path: Path, here: Places) -> None:
    runs: list[str] = []
    assert len(carry_out([step(tmp_path, runs)], here)) == 1
    (tmp_path / "given").unlink()
    assert stale([step(tmp_path, runs)], here)
    carry_out([step(tmp_path, runs)], here)
    assert len(runs) == 2
    assert carry_out([step(tmp_path, runs)], here) == []


def test_a_step_that_fails_stops_the_set_up_unless_it_is_optional(
    tmp_path: Path, here: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SetupError, match="no such thing"):
        carry_out([step(tmp_path, [], fails=True)], here)
    optional = step(tmp_path, [], fails=True, optional=True)
    carry_out([optional], here)
    assert "left out: no such thing here" in capsys.readouterr().out
    assert not optional.is_done(here)


def test_a_lints_setting_makes_no_environment_stale_a_requirement_does(tmp_path: Path, here: Places) -> None:
    pyproject = tmp_path / "pyproject.toml"
    text = '[build-system]\nrequires=[]\n[project]\ndependencies=["a"]\n[tool.hatch]\n[tool.ruff]\nline-length=1\n'
    one = Step("it", "it", "nothing", [pyproject], tmp_path, lambda: None)
    pyproject.write_text(text)
    before = one.key(here)
    pyproject.write_text(text.replace("line-length=1", "line-length=2"))
    assert one.key(here) == before
    pyproject.write_text(text.replace('"a"', '"b"'))
    assert one.key(here) != before


def test_of_a_wheel_everything_is_below_its_environment() -> None:
    checkout = places()
    wheel = replace(checkout, services=Path("/env"), flink=Path("/env/f"), cache=Path("/env/c"), is_checkout=False)
    found = {step.name: step for step in run_steps(wheel)}
    assert {step.name for step in run_steps(checkout)} == set(found)
    assert next(iter(found)) == "flink", "it brings the installer"
    assert all(Path("/env") in (step.gives, *step.gives.parents) for step in found.values())


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, here: Places) -> None:
    (tmp_path / "file").touch()
    elsewhere = replace(here, cache=tmp_path / "file" / "cache")
    with pytest.raises(SetupError, match=r"into .*/file/cache: Not a directory"):
        carry_out([step(tmp_path, [])], elsewhere)


def test_a_second_set_up_waits_for_the_first_and_says_so(
    tmp_path: Path, here: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    here.cache.mkdir()
    with (here.cache / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(target=carry_out, args=([step(tmp_path, [])], here))
        second.start()
        said = ""
        deadline = time.monotonic() + 60
        while "waits for it" not in said and time.monotonic() < deadline:
            said += capsys.readouterr().out
        assert "another set-up is at work" in said
        assert second.is_alive()
    second.join(60)
    assert step(tmp_path, []).is_done(here)


def test_what_a_run_uses_is_not_changed_under_it(tmp_path: Path, here: Places) -> None:
    here.cache.mkdir()
    jars = replace(step(tmp_path, []), name="flink-jars")
    with in_use(here), pytest.raises(SetupError, match="stop it first"):
        carry_out([jars], here)
    with in_use(here):
        assert carry_out([step(tmp_path, [])], here), "what no run uses may come"
    assert carry_out([jars], here)
