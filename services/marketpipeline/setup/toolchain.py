"""What the set-up needs of the machine itself: a Python that can make environments, a Java, Maven.

On Debian as root it installs what is absent.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from marketpipeline.errors import MarketPipelineError

__all__ = [
    "SetupError",
    "install_debian_package",
    "java_version",
    "missing_packages",
    "require_python",
    "require_toolchain",
    "say",
    "unpack_debian_packages",
]

OLDEST_JAVA = 17
NEWEST_TRIED_JAVA = 21


class SetupError(MarketPipelineError):
    """The set-up cannot go on; the message says what to do about it."""


def say(line: str) -> None:
    """A line for whoever waits."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def require_python() -> None:
    """Raise SetupError unless this interpreter is one that the project runs on."""
    if not (3, 11) <= sys.version_info[:2] < (3, 13):
        found = f"{sys.version_info.major}.{sys.version_info.minor} ({sys.executable})"
        raise SetupError(
            f"Python 3.11 or 3.12 is needed (PyFlink has no wheels for others), found {found}; "
            "name one: make PYTHON=/path/to/python3.12"
        )


def require_toolchain() -> None:
    """Raise SetupError unless venv, Java 17 or newer and Maven are here; on Debian as root, install what is absent."""
    missing = missing_packages()
    if missing and _may_use_apt():
        costs = "65 MB to fetch, 260 MB on disk, half a minute"
        say(f"apt-get installs what is absent here: {' '.join(missing)} ({costs}; SETUP_APT=no forbids it)")
        _apt_install(missing)
        missing = missing_packages()
    if missing:
        raise SetupError(
            f"Python's venv, Java {OLDEST_JAVA} or newer (Kafka and Flink run on it) and Maven are needed; "
            f"java is {java_version() or 'absent'}, mvn is {shutil.which('mvn') or 'absent'}, "
            f"venv is {'absent' if 'python3-venv' in missing else 'here'}. Install what is absent:\n"
            f"    Debian, Ubuntu:  sudo apt-get install {' '.join(missing)}\n"
            "    Fedora:          sudo dnf install java-21-openjdk-headless maven\n"
            "    macOS:           brew install openjdk@21 maven   (and set JAVA_HOME)"
        )
    version = java_version()
    if version is not None and version > NEWEST_TRIED_JAVA:
        say(f"note: Java {version} is newer than the newest tried here, {NEWEST_TRIED_JAVA}")


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


def missing_packages() -> list[str]:
    """What has to be installed first, by Debian's names; an older Java counts as absent."""
    version = java_version()
    present = {
        "python3-venv": find_spec("ensurepip") is not None,  # Debian leaves it out of python3
        "default-jre-headless": version is not None and version >= OLDEST_JAVA,
        "maven": shutil.which("mvn") is not None,
    }
    return [package for package, here in present.items() if not here]


def install_debian_package(name: str) -> None:
    """Install a package that only tests need. Raises SetupError where apt-get is absent, or may not be used."""
    if not _may_use_apt():
        raise SetupError(
            f"{name} is installed on Debian as root only; elsewhere: sudo apt-get install {name}, or the like"
        )
    _apt_install([name])


def unpack_debian_packages(names: list[str], target: Path) -> None:
    """The files of packages below `target`, without installing them. Raises SetupError where that cannot be."""
    if not _may_use_apt():
        raise SetupError(f"{', '.join(names)} are fetched on Debian as root only")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    _run(["apt-get", "-q", "update"])
    _run(["apt-get", "-q", "download", *names], cwd=target)
    for package in target.glob("*.deb"):
        _run(["dpkg", "--extract", package.name, "."], cwd=target)
        package.unlink()


def _may_use_apt() -> bool:
    wanted = os.environ.get("SETUP_APT", "yes") != "no"
    return wanted and shutil.which("apt-get") is not None and hasattr(os, "geteuid") and os.geteuid() == 0


def _apt_install(packages: list[str]) -> None:
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        _run(["apt-get", "-q", *command])


def _run(command: list[str], cwd: Path | None = None) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)
    if done.returncode != 0:
        raise SetupError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
