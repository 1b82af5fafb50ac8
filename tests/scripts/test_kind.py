"""What the script would run, in order: every image that is started is built and loaded before."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from kind import main
from marketpipeline.plan import Component
from marketpipeline_operator.settings import OperatorSettings

from tests.conftest import PROJECT
from tests.helm.marketpipeline_operator.support import Helm
from tests.support.tools import tool


def commands(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    assert main([*arguments[:1], "--dry-run", *arguments[1:]]) == 0
    return [shlex.split(line.removeprefix("+ ")) for line in capsys.readouterr().out.splitlines()]


def test_what_is_started_is_built_and_loaded_before(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = commands(capsys, "up", "--", "--set", "prometheus.enabled=true")
    assert found[0][:3] == ["kind", "create", "cluster"]
    built = {command[command.index("--tag") + 1]: command for command in found if command[:2] == ["docker", "build"]}
    for command in built.values():
        assert (PROJECT / command[command.index("--file") + 1]).is_file()
    (load,) = [command for command in found if command[:2] == ["kind", "load"]]
    assert set(load[5:]) == built.keys()
    installs = [command for command in found if command[:2] == ["helm", "upgrade"]]
    assert found.index(load) < found.index(installs[0])
    images = [OperatorSettings().images.of(component) for component in Component]
    for command in installs:
        options = [part for part in command[3:] if part not in ("--create-namespace", "--wait", "--timeout", "10m")]
        rendered = Helm(tool("helm"), tmp_path)("template", *(str(PROJECT / p) if "/" in p else p for p in options))
        assert rendered.returncode == 0, rendered.stderr
        things: list[Any] = [thing for thing in yaml.safe_load_all(rendered.stdout) if thing]
        text = json.dumps(things)
        assert ("market-stack-prometheus" in text) == ("market-stack" in command)
        images += [part for part in text.split('"') if part.startswith("marketpipeline/")]
    assert set(images) == built.keys()


def test_the_exchange_itself_is_read_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    simulated, live = (commands(capsys, "up", *options) for options in ((), ("--live",)))
    assert "simulator.enabled=true" in [part for command in simulated for part in command]
    assert "simulator.enabled=true" not in [part for command in live for part in command]


def test_the_pipeline_goes_before_the_operator_and_the_cluster_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert [command[2] for command in commands(capsys, "down")] == [
        "market-stack",
        "marketpipeline-operator",
        "cluster",
    ]
