"""The job's settings as a run would write them, handed to its planner; tests of the job see that a graph is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from marketpipeline.errors import PermanentError
from marketpipeline.local.prepare import prepare
from marketpipeline.spec import load_file

from tests.conftest import PROJECT

_PLANNER = """\
#!/usr/bin/env python3
import json, sys
settings = json.load(open(sys.argv[sys.argv.index("--config") + 1]))
json.dump({"last": sys.argv[-1], "prefix": settings["topic_prefix"]}, open({out!r}, "w"))
sys.exit({status})
"""


@pytest.fixture
def planner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of the job's Python."""
    program = tmp_path / "python"
    monkeypatch.setenv("MARKETPIPELINE_FLINK_PYTHON", str(program))
    return program


@pytest.mark.parametrize("status", [0, 3])
def test_what_a_run_would_start_is_planned(planner: Path, status: int) -> None:
    told = planner.with_name("told.json")
    text = _PLANNER.replace("{out!r}", repr(str(told))).replace("{status}", str(status))
    planner.write_text(text)
    planner.chmod(0o755)
    pipeline = load_file(PROJECT / "manifests" / "quickstart.yaml")
    if status:
        with pytest.raises(PermanentError, match="not planned ahead"):
            prepare(pipeline)
    else:
        prepare(pipeline)
    assert json.loads(told.read_text()) == {"last": "--prepare", "prefix": pipeline.name}


def test_a_planner_that_does_not_end_is_given_up(planner: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planner.write_text("#!/bin/sh\nexec sleep 600\n")
    planner.chmod(0o755)
    monkeypatch.setattr("marketpipeline.local.prepare._TIMEOUT", 0.5)
    with pytest.raises(PermanentError, match=r"took more than 0\.5 s"):
        prepare(load_file(PROJECT / "manifests" / "quickstart.yaml"))
