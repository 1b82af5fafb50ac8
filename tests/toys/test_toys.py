"""One of each kind of plugin, defined outside of the package: everything knows it, and nothing was edited for it.

The registries are read when the package is imported, so what the toys take part in is tested in a process of its own,
which finds their distribution on its path: `installed/`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import PROJECT

TOYS = Path(__file__).parent
PLUGIN = TOYS / "plugin"
INSTALLED = sorted(path.name for path in (TOYS / "installed").glob("test_*.py"))


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.timeout(600)
def test_everything_knows_the_toys(name: str) -> None:
    path = os.pathsep.join(filter(None, (str(PLUGIN), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TOYS / "installed" / name)]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]


def test_nobody_else_has_them_on_the_path() -> None:
    assert find_spec("toys") is None, "the toys are on the path of every test"


def test_no_file_outside_of_their_folder_was_touched_for_them() -> None:
    """A toy is its own modules and a line of its distribution's entry points."""
    words = [path.name for path in (PLUGIN / "toys").iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert {"jsonlines", "block_trade", "lamplight"} <= set(words)
    patterns = [part for word in words for part in ("-e", word)]
    command = ["git", "grep", "--untracked", "--files-with-matches", *patterns, "--", ":!tests/toys"]
    found = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, ""), found.stderr
