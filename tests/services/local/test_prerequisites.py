"""The Java that is found, and what is said when it is none, or too old."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.local.prerequisites import OLDEST_JAVA, find_java

from tests.conftest import require


def java_home(folder: Path, script: str) -> str:
    """A JAVA_HOME whose `java` is a shell script."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "java"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "21" 2023-09-19 LTS', 21),
        ('openjdk version "25-ea" 2025-09-16', 25),
    ],
)
def test_versions(tmp_path: Path, says: str, version: int) -> None:
    home = java_home(tmp_path, f"echo '{says}' >&2")
    found = find_java(home)
    assert (found.version, found.home, found.program) == (version, home, f"{home}/bin/java")


@pytest.mark.parametrize("says", ['java version "1.8.0_412"', 'openjdk version "11.0.23" 2024-04-16'])
def test_too_old(tmp_path: Path, says: str) -> None:
    with pytest.raises(InvalidInput, match=rf"JAVA_HOME: .*is Java (8|11); Java {OLDEST_JAVA} or newer is needed"):
        find_java(java_home(tmp_path, f"echo '{says}' >&2"))


@pytest.mark.parametrize("script", ["exit 1", "echo hello", "echo 'Unable to locate a Java Runtime' >&2; exit 2"])
def test_what_is_no_java(tmp_path: Path, script: str) -> None:
    with pytest.raises(InvalidInput, match="is not a Java that runs"):
        find_java(java_home(tmp_path, script))


def test_a_home_that_is_empty(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"JAVA_HOME: .*does not run .*apt-get install openjdk-17"):
        find_java(str(tmp_path))


def test_none_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidInput, match=r"java: '\(absent\)': Java 17 or newer is needed"):
        find_java(None)


def test_the_one_of_this_machine() -> None:
    require(shutil.which("java"), "no Java")
    found = find_java(None)
    assert found.version >= OLDEST_JAVA
    assert Path(found.home, "bin", "java").exists()
