from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from marketpipeline.cli import cli
from marketpipeline.errors import InvalidSpec
from marketpipeline.plan import plan, plan_as_json, plan_as_text
from marketpipeline.spec import load_file

from tests.conftest import PROJECT

MANIFESTS = sorted((PROJECT / "manifests").glob("*.yaml"))


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_every_sample_is_valid(manifest: Path) -> None:
    done = CliRunner().invoke(cli, ["validate", str(manifest)])
    assert done.exit_code == 0
    assert f"pipeline {load_file(manifest).name} is valid" in done.output


def test_validate_names_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "crypto.yaml"
    path.write_text((PROJECT / "manifests" / "quickstart.yaml").read_text() + "  depht: {}\n  windows: [9m]\n")
    done = CliRunner().invoke(cli, ["validate", str(path)])
    assert isinstance(done.exception, InvalidSpec)
    assert {problem.field for problem in done.exception.problems} == {"spec.depht", "spec.windows[0]"}


def test_plan_as_text_and_json() -> None:
    manifest = PROJECT / "manifests" / "quickstart.yaml"
    expected = plan(load_file(manifest))
    text = CliRunner().invoke(cli, ["plan", str(manifest)])
    assert (text.exit_code, text.output) == (0, plan_as_text(expected) + "\n")
    as_json = CliRunner().invoke(cli, ["plan", str(manifest), "--format", "json"])
    assert json.loads(as_json.output) == plan_as_json(expected)
