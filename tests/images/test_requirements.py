"""What an image installs: all that its extra needs by the distributions' own metadata, as locked, and little more."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import PROJECT

SCRIPT = PROJECT / "images" / "requirements.py"
EXTRAS = sorted(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def chosen(*extras: str) -> dict[str, str]:
    """Name → line with its version, as the script chooses for these extras."""
    done = run(PROJECT / "pyproject.toml", PROJECT / "locks" / "services.txt", *extras)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line[:1].isalnum()]
    return {canonicalize_name(line.partition("==")[0]): line for line in lines}


def needed(name: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> set[str]:
    """Everything that a distribution installed here needs on this system, by its own metadata."""
    if (name, extras) in seen:
        return set()
    seen.add((name, extras))
    found: set[str] = set()
    for line in importlib.metadata.requires(name) or []:
        requirement = Requirement(line)
        if any(requirement.marker is None or requirement.marker.evaluate({"extra": e}) for e in extras | {""}):
            child = canonicalize_name(requirement.name)
            found |= {child} | needed(child, frozenset(requirement.extras), seen)
    return found


@pytest.mark.parametrize("extra", EXTRAS)
def test_nothing_that_the_metadata_asks_for_is_left_out(extra: str) -> None:
    assert needed("marketpipeline", frozenset({extra}), set()) - {"marketpipeline"} <= chosen(extra).keys()


def test_no_more_than_the_component_needs() -> None:
    api, ingestion = chosen("api"), chosen("ingestion")
    assert "fastapi" in api
    assert "fastapi" not in ingestion
    assert not {"pytest", "kopf", "ruff", "uv", "rich"} & (api.keys() | ingestion.keys())


def test_the_lines_are_the_locks_own_with_their_hashes() -> None:
    done = run(PROJECT / "pyproject.toml", PROJECT / "locks" / "services.txt", "api")
    lock = (PROJECT / "locks" / "services.txt").read_text().splitlines()
    assert set(done.stdout.splitlines()) <= set(lock)
    assert done.stdout.count("--hash=sha256:") > len(chosen("api"))


def test_the_stream_job_gets_pyflink_and_the_core_but_no_test_tools() -> None:
    done = run(PROJECT / "flink-jobs" / "pyproject.toml", PROJECT / "flink-jobs" / "lock.txt")
    names = {line.partition("==")[0] for line in done.stdout.splitlines() if line[:1].isalnum()}
    assert {"apache-flink", "msgspec", "pydantic"} <= names
    assert not {"pytest", "pluggy", "pygments"} & names


def test_an_unknown_extra_names_those_that_exist() -> None:
    done = run(PROJECT / "pyproject.toml", PROJECT / "locks" / "services.txt", "ingest")
    assert done.returncode == 1
    assert "no extra 'ingest' in marketpipeline; there are: api, " in done.stderr


def test_a_dependency_that_the_lock_lacks_ends_it(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\nname = "marketpipeline"\ndependencies = ["click", "left-pad>=1"]\n')
    done = run(project, PROJECT / "locks" / "services.txt")
    assert done.returncode == 1
    assert "not in the lock: left-pad" in done.stderr


def test_a_distribution_with_a_version_for_each_python_keeps_both() -> None:
    lock = (PROJECT / "locks" / "services.txt").read_text()
    wanted = [line for line in lock.splitlines() if line.startswith("numpy==")]
    done = run(PROJECT / "pyproject.toml", PROJECT / "locks" / "services.txt", "clickhouse-server")
    assert [line for line in done.stdout.splitlines() if line.startswith("numpy==")] == wanted
    assert len(wanted) > 1
