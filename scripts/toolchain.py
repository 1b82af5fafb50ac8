"""What the set-up needs of the machine itself: a Python, a Java, Maven, and for one test suite Node.

Runs on a bare Python, before anything is installed: standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["SetupError", "java_version", "require_java", "require_python"]

OLDEST_JAVA = 17
NEWEST_TRIED_JAVA = 21


class SetupError(Exception):
    """The set-up cannot go on; the message says what to do about it."""


def require_python() -> None:
    """Raise SetupError unless this interpreter can run the project (3.11 or 3.12, with venv)."""
    found = f"{sys.version_info.major}.{sys.version_info.minor} ({sys.executable})"
    if not (3, 11) <= sys.version_info[:2] < (3, 13):
        raise SetupError(
            f"Python 3.11 or 3.12 is needed (PyFlink has no wheels for others), found {found}; "
            "name one: make PYTHON=/path/to/python3.12"
        )
    try:
        import ensurepip  # noqa: F401  Debian leaves it out of python3; its absence is what is looked for
    except ImportError:
        raise SetupError(f"Python {found} cannot make environments; on Debian: apt-get install python3-venv") from None


def java_version() -> int | None:
    """Major version of the `java` that runs would use (JAVA_HOME first, then PATH); None when there is none."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else "java"
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(found.group(1)) if found else None


def require_java() -> None:
    """Raise SetupError unless Java 17 or newer and Maven are here; on Debian as root, install what is absent first."""
    missing = _missing_packages()
    if missing and _may_use_apt():
        print(f"    no {' and no '.join(missing)}: apt-get installs it (SIZE6; SETUP_APT=no forbids that)", flush=True)
        _apt_install(missing)
        missing = _missing_packages()
    if missing:
        raise SetupError(
            f"Java {OLDEST_JAVA} or newer and Maven are needed (Kafka and Flink run on Java); "
            f"java is {java_version() or 'absent'}, mvn is {shutil.which('mvn') or 'absent'}. Install them:\n"
            f"    Debian, Ubuntu:  sudo apt-get install {' '.join(missing)}\n"
            "    Fedora:          sudo dnf install java-21-openjdk-headless maven\n"
            "    macOS:           brew install openjdk@21 maven   (and set JAVA_HOME)"
        )
    version = java_version()
    if version is not None and version > NEWEST_TRIED_JAVA:
        print(f"    note: Java {version} is newer than the newest tried here, {NEWEST_TRIED_JAVA}")


def _missing_packages() -> list[str]:
    version = java_version()
    missing = [] if version is not None and version >= OLDEST_JAVA else ["default-jre-headless"]
    return missing if shutil.which("mvn") else [*missing, "maven"]


def _may_use_apt() -> bool:
    wanted = os.environ.get("SETUP_APT", "yes") != "no"
    return wanted and shutil.which("apt-get") is not None and hasattr(os, "geteuid") and os.geteuid() == 0


def _apt_install(packages: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", "-q", *command], capture_output=True, text=True, env=environment, check=False)
        if done.returncode != 0:
            raise SetupError(f"apt-get {' '.join(command)} failed:\n{done.stdout}{done.stderr}")
