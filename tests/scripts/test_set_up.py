"""The set-up: what makes a step stale, and what it says when the machine lacks something."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import installers
import pytest
import set_up
import toolchain

from tests.conftest import PROJECT
from tests.support.tools import tool


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_up, "CACHE", tmp_path / "cache")


def step(tmp_path: Path, runs: list[str], *, fails: bool = False, optional: bool = False) -> set_up.Step:
    lock, gives = tmp_path / "lock.txt", tmp_path / "given"
    lock.touch()

    def run() -> None:
        if fails:
            raise toolchain.SetupError("no such thing here")
        runs.append("run")
        gives.touch()

    return set_up.Step("it", "it", "nothing", [lock], gives, run, optional)


def test_a_step_runs_once_and_again_when_its_lock_changes(tmp_path: Path) -> None:
    runs: list[str] = []
    for _ in range(2):
        set_up.carry_out([step(tmp_path, runs)])
    assert len(runs) == 1
    (tmp_path / "lock.txt").write_text("changed")
    set_up.carry_out([step(tmp_path, runs)])
    assert len(runs) == 2


def test_a_step_runs_again_when_its_result_was_removed(tmp_path: Path) -> None:
    runs: list[str] = []
    set_up.carry_out([step(tmp_path, runs)])
    (tmp_path / "given").unlink()
    set_up.carry_out([step(tmp_path, runs)])
    assert len(runs) == 2


def test_a_step_that_fails_stops_the_set_up_unless_it_is_optional(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(toolchain.SetupError, match="no such thing"):
        set_up.carry_out([step(tmp_path, [], fails=True)])
    optional = step(tmp_path, [], fails=True, optional=True)
    set_up.carry_out([optional])
    assert "left out: no such thing here" in capsys.readouterr().out
    assert not optional.is_done()


def test_a_lints_setting_makes_no_environment_stale_a_requirement_does(tmp_path: Path) -> None:
    pyproject = tmp_path / "pyproject.toml"
    text = '[build-system]\nrequires=[]\n[project]\ndependencies=["a"]\n[tool.hatch]\n[tool.ruff]\nline-length=1\n'
    one = set_up.Step("it", "it", "nothing", [pyproject], tmp_path, lambda: None)
    pyproject.write_text(text)
    before = one.key()
    pyproject.write_text(text.replace("line-length=1", "line-length=2"))
    assert one.key() == before
    pyproject.write_text(text.replace('"a"', '"b"'))
    assert one.key() != before


def java(folder: Path, text: str) -> Path:
    """A `java` that prints what a release of that version prints."""
    folder.mkdir(exist_ok=True)
    command = folder / "java"
    command.write_text(f"#!/bin/sh\necho '{text}' >&2\n")
    command.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("text", "version"),
    [('openjdk version "17.0.15" 2025-04-15', 17), ('java version "1.8.0_411"', 8), ('openjdk version "21" 2023', 21)],
)
def test_java_versions_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, version: int) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{java(tmp_path / 'bin', text)}{os.pathsep}{os.environ['PATH']}")
    assert toolchain.java_version() == version


def test_an_old_java_is_named_with_the_command_that_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java(tmp_path / "bin", 'openjdk version "11.0.2" 2019-01-15')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("SETUP_APT", "no")
    with pytest.raises(toolchain.SetupError) as caught:
        toolchain.require_toolchain()
    assert "java is 11" in str(caught.value)
    assert "apt-get install default-jre-headless" in str(caught.value)


def test_no_java_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SETUP_APT", "no")
    with pytest.raises(toolchain.SetupError, match="java is absent, mvn is absent"):
        toolchain.require_toolchain()


def test_a_jar_that_is_not_the_pinned_one_is_named_and_nothing_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jars.sha256").write_text(f"{'0' * 64}  kafka-clients-4.3.1.jar\n")
    monkeypatch.setattr(installers, "resolve_jars", lambda project, target: {"kafka-clients-4.3.1.jar": "1" * 64})
    target = tmp_path / "jars"
    target.mkdir()
    with pytest.raises(toolchain.SetupError, match=r"kafka-clients-4\.3\.1\.jar"):
        installers.copy_jars(tmp_path, target)
    assert target.is_dir()


def test_what_is_there_now_is_what_the_sums_say() -> None:
    """The jars that this very test run uses are the pinned ones, and our own functions."""
    ours: dict[str, set[str]] = {"kafka": set(), "flink": {"marketpipeline-functions.jar"}}
    for project, name in ((PROJECT / "third-party" / "kafka", "kafka"), (PROJECT / "flink-jobs", "flink")):
        pinned = {line.split()[1] for line in (project / "jars.sha256").read_text().splitlines()}
        assert {jar.name for jar in (PROJECT / ".cache" / "jars" / name).iterdir()} == pinned | ours[name]


def test_without_go_the_tools_are_left_out_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(toolchain.SetupError, match="go is absent"):
        installers.build_go_tools(PROJECT / "tests" / "helm" / "tools", tmp_path / "tools")
    (step,) = [step for step in set_up.steps(for_tests=True) if step.name == "tools"]
    assert step.optional
    assert not [step for step in set_up.steps(for_tests=False) if step.name == "tools"]


def test_without_apt_pgbouncer_is_left_out_with_the_command_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETUP_APT", "no")
    with pytest.raises(toolchain.SetupError, match="sudo apt-get install pgbouncer"):
        toolchain.install_debian_package("pgbouncer")
    (step,) = [step for step in set_up.steps(for_tests=True) if step.name == "pgbouncer"]
    assert step.optional
    assert not [step for step in set_up.steps(for_tests=False) if step.name == "pgbouncer"]


def test_the_helm_that_is_used_is_the_pinned_one() -> None:
    pinned = re.search(r"helm.sh/helm/v3 (\S+)", (PROJECT / "tests/helm/tools/go.mod").read_text())
    done = subprocess.run([tool("helm"), "version", "--short"], capture_output=True, text=True, check=True)
    assert pinned is not None
    assert done.stdout.strip().partition("+")[0] == pinned[1]


def test_heavy_extras_are_installed_for_the_tests_and_for_pipelines_that_need_them(tmp_path: Path) -> None:
    """The quickstart needs none of them; what each costs is said."""
    names = {f"extra-{extra}" for extra in installers.on_demand()}
    assert names <= {step.name for step in set_up.steps(for_tests=True)}
    assert not names & {step.name for step in set_up.steps(for_tests=False)}
    said = [step.costs for step in set_up.extra_steps(installers.on_demand())]
    assert all("MB to fetch" in costs or costs.startswith("nothing beside") for costs in said)
    assert set_up.extras_of(str(PROJECT / "manifests" / "quickstart.yaml")) == []
    assert set_up.extras_of(str(tmp_path / "absent.yaml")) == []


def test_the_environment_of_a_run_has_no_heavy_extra_unless_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(installers, "CACHE", tmp_path)
    monkeypatch.setattr(installers, "call", lambda *_, **__: "")
    monkeypatch.setattr(installers, "_part_of_lock", lambda extras, name: synced.extend(extras))
    monkeypatch.setattr(installers, "_sync", lambda *_, **__: None)
    installers.install_services()
    assert "dev" in synced
    assert not set(installers.on_demand()) & set(synced)
    for extra in installers.on_demand():
        (tmp_path / "stamps").mkdir(exist_ok=True)
        (tmp_path / "stamps" / installers.stamp_of(extra)).touch()
    installers.install_services()
    assert set(installers.on_demand()) <= set(synced)
