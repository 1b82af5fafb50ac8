from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.local import extras
from marketpipeline.local.extras import absent, extras_of, require_extras
from marketpipeline.spec import load_file

from tests.conftest import PROJECT

QUICKSTART = PROJECT / "manifests" / "quickstart.yaml"


def test_the_extras_of_what_a_pipeline_enables() -> None:
    found = extras_of(load_file(QUICKSTART))
    assert found["sinks.redis"] == ["redis"]
    assert found["sinks.timescale"] == ["timescale"]
    assert "dashboard" not in found


def test_what_is_installed_is_not_absent() -> None:
    assert absent("timescale") == []
    assert absent("local") == []


def test_what_is_absent_is_named_with_the_command_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_is_installed", lambda name: name != "redis")
    with pytest.raises(InvalidInput) as caught:
        require_extras(load_file(QUICKSTART), "my.yaml")
    assert str(caught.value) == (
        "my.yaml:\n  spec.sinks.redis.enabled: True: needs redis on this machine; run `marketpipeline setup my.yaml`, "
        "or pip install 'marketpipeline[redis]'"
    )


@pytest.mark.parametrize(("file", "status", "says"), [(QUICKSTART, 0, "timescale\n"), (Path("absent.yaml"), 2, "")])
def test_the_set_up_may_ask(file: Path, status: int, says: str) -> None:
    command = [sys.executable, "-P", "-m", "marketpipeline.local.extras", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, says in done.stdout) == (status, True), done.stderr
