"""The package as a wheel, in an environment of its own and an empty folder: what a user has who never clones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.repository.test_extras import requirements_of

BARE = {"PATH": "/nowhere", "SETUP_APT": "no"}
"""Of a machine that has neither Java nor Maven, and may not be given them: nothing is installed."""
UV = str(Path(sys.executable).parent / "uv")


def done(command: list[str], folder: Path, status: int = 0, **environment: str) -> str:
    """What a command printed. Nothing of this checkout is handed on."""
    ours = ("MARKETPIPELINE", "PYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120, env=kept | environment
    )
    assert ran.returncode == status, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment, with what the wheel itself asks for and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "requirements.txt").write_text(requirements_of(""))
    into = ["--quiet", "--python", str(folder / "env"), "--no-deps"]
    build = ["--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(folder)]
    done([UV, "build", *build, str(PROJECT)], folder)  # the wheel is made of the source distribution
    (wheel,) = folder.glob("*.whl")
    done([UV, "venv", "--quiet", "--python", sys.executable, str(folder / "env")], folder)
    done([UV, "pip", "install", *into, "--require-hashes", "-r", "requirements.txt"], folder)
    done([UV, "pip", "install", *into, str(wheel)], folder)
    return folder / "env"


def test_commands_work_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    program = str(installed / "bin" / "marketpipeline")
    (tmp_path / "my.yaml").write_text(done([program, "example"], tmp_path))
    assert "pipeline quickstart is valid: 2 symbols" in done([program, "validate", "my.yaml"], tmp_path)
    assert "stream-job" in done([program, "plan", "my.yaml"], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.yaml"]


def test_a_wrong_pipeline_is_refused_before_anything_is_installed(installed: Path, tmp_path: Path) -> None:
    program = str(installed / "bin" / "marketpipeline")
    (tmp_path / "my.yaml").write_text(done([program, "example"], tmp_path).replace("symbols:", "symbol:"))
    said = done([program, "run", "my.yaml"], tmp_path, status=2, **BARE)
    assert "spec.symbol (line 7" in said or "spec.symbol:" in said
    assert "installed once" not in said


def test_a_run_says_what_it_would_install_and_what_the_machine_lacks(installed: Path, tmp_path: Path) -> None:
    said = done([str(installed / "bin" / "marketpipeline"), "run"], tmp_path, status=1, **BARE)
    assert f"installed once, into {installed}" in said
    assert "Java 17 or newer" in said


def test_it_holds_all_that_the_set_up_reads(installed: Path, tmp_path: Path) -> None:
    """Each step's key is made of the files that it is made from; the sources of the functions are whole."""
    program = (
        "from marketpipeline.setup.places import places\n"
        "from marketpipeline.setup.steps import graph_step, run_steps\n"
        "here = places()\n"
        "assert not here.is_checkout\n"
        "for step in [*run_steps(here), graph_step(here)]: step.key(here)\n"
        "files = [path for path in here.sources.rglob('*.*') if path.is_file()]\n"
        "print(*sorted(str(path.relative_to(here.sources)) for path in files), sep='\\n')\n"
    )
    found = done([str(installed / "bin" / "python"), "-P", "-c", program], tmp_path).split()
    for folder in ("flink-jobs/java/src/main", "flink-jobs/marketpipeline_job"):
        wanted = [str(p.relative_to(PROJECT)) for p in (PROJECT / folder).rglob("*.*") if p.is_file()]
        wanted = [path for path in wanted if "__pycache__" not in path]
        assert [path for path in found if path.startswith(f"{folder}/") and "__pycache__" not in path] == sorted(wanted)
    migrations = installed.glob("lib/python*/site-packages/marketpipeline/sinks/timescale/migrations/*.sql")
    ours = PROJECT / "services/marketpipeline/sinks/timescale/migrations"
    assert {path.name for path in migrations} == {path.name for path in ours.glob("*.sql")}
