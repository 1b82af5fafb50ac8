"""`marketpipeline setup`, and what a run of a wheel installs first."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from marketpipeline.cli import cli
from marketpipeline.cli import setup as module
from marketpipeline.cli.setup import be_ready
from marketpipeline.setup.places import Places, places
from marketpipeline.setup.steps import Step
from marketpipeline.setup.toolchain import SetupError
from marketpipeline.spec import load_file

QUICKSTART = load_file(places().quickstart)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """An environment that a wheel was installed into just now; of its steps only that of the libraries is left."""
    here = replace(places(), services=tmp_path, flink=tmp_path / "f", cache=tmp_path / "c", is_checkout=False)
    libraries = Step("services", "libraries", "10 MB", [], here.services, lambda: None)
    monkeypatch.setattr(module, "places", lambda: here)
    monkeypatch.setattr(module, "run_steps", lambda _: [libraries])
    monkeypatch.setattr(module, "graph_step", lambda _: libraries)
    return here


def test_a_checkout_is_left_to_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "carry_out", lambda *_: pytest.fail("a run of a checkout installs nothing"))
    be_ready(QUICKSTART)


def test_a_run_of_a_wheel_installs_what_is_absent_and_begins_anew(
    wheel: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, words: begun.append(words))
    monkeypatch.setattr(sys, "argv", ["marketpipeline", "run", "my.yaml"])
    be_ready(QUICKSTART)
    assert begun == [[sys.executable, "-P", "-m", "marketpipeline", "run", "my.yaml"]]
    said = capsys.readouterr().out
    assert f"into {wheel.services};" in said
    assert "[1/1] libraries (first time: 10 MB)" in said
    be_ready(QUICKSTART)
    assert len(begun) == 1
    assert capsys.readouterr().out == ""


def test_a_machine_without_an_environment_is_told_how_to_make_one(
    wheel: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    with pytest.raises(SetupError, match="python3 -m venv market"):
        be_ready(QUICKSTART)


def test_who_brings_everything_is_not_asked(wheel: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETPIPELINE_SETUP", "false")
    monkeypatch.setattr(module, "carry_out", lambda *_: pytest.fail("nothing is installed"))
    be_ready(QUICKSTART)


def test_what_a_sink_needs_beside_it_is_installed_too(wheel: Places, tmp_path: Path) -> None:
    text = places().quickstart.read_text().replace("spec:\n", "spec:\n  sinks: {clickhouse: {enabled: true}}\n", 1)
    (tmp_path / "wide.yaml").write_text(text)
    wanted = module._steps(load_file(tmp_path / "wide.yaml"), wheel)
    assert [step.name for step in wanted] == ["services", "extra-clickhouse-server"]


def test_what_is_there_is_not_installed_again(wheel: Places) -> None:
    assert "libraries" in CliRunner().invoke(cli, ["setup"]).output
    assert CliRunner().invoke(cli, ["setup"]).output == "everything is there already\n"
