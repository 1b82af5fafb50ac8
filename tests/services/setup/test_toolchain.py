"""What the set-up says when the machine lacks something."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from marketpipeline.setup import toolchain


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


def test_without_apt_a_package_is_named_with_the_command_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETUP_APT", "no")
    with pytest.raises(toolchain.SetupError, match="sudo apt-get install pgbouncer"):
        toolchain.install_debian_package("pgbouncer")
