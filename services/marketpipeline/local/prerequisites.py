"""What this machine must have before anything is started: Java, Kafka's jars, the job's environment."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.local.environment import child_environment

__all__ = ["OLDEST_JAVA", "Java", "find_java", "require_flink", "require_kafka", "require_open_files"]

LEAST_OPEN_FILES = 1_024
_OPEN_FILES = 65_536
OLDEST_JAVA = 17
"""Kafka 4 and Flink 2 are compiled for it."""

_INSTALL = (
    f"Java {OLDEST_JAVA} or newer is needed by Kafka and Flink; install it (Debian: apt-get install "
    "openjdk-17-jre-headless; macOS: brew install openjdk@17) or set JAVA_HOME to one"
)


@dataclass(frozen=True, slots=True)
class Java:
    """A Java to run: the program, its JAVA_HOME and its major version."""

    program: str
    home: str
    version: int


def find_java(java_home: str | None) -> Java:
    """The Java of `java_home`, else the one on the path. Raises InvalidInput for none, or one that is too old."""
    field = "JAVA_HOME" if java_home else "java"
    found = str(Path(java_home) / "bin" / "java") if java_home else shutil.which("java")
    if found is None:
        raise InvalidInput("this machine", [Problem(field, "(absent)", _INSTALL)])
    try:
        done = subprocess.run(
            [found, "-version"], capture_output=True, text=True, timeout=30, check=False, env=child_environment({})
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InvalidInput("this machine", [Problem(field, found, f"does not run ({error}); {_INSTALL}")]) from error
    text = done.stderr + done.stdout
    match = re.search(r'version "(?:1\.)?(\d+)', text)
    if done.returncode != 0 or match is None:
        shown = text.strip().splitlines()[0] if text.strip() else f"status {done.returncode}"
        raise InvalidInput("this machine", [Problem(field, found, f"is not a Java that runs ({shown}); {_INSTALL}")])
    version = int(match.group(1))
    if version < OLDEST_JAVA:
        raise InvalidInput("this machine", [Problem(field, found, f"is Java {version}; {_INSTALL}")])
    home = java_home or str(Path(found).resolve().parent.parent)
    return Java(program=found, home=home, version=version)


def require_kafka(jars: Path) -> None:
    """Raise InvalidInput when the broker's jars are not here."""
    if not any(jars.glob("kafka_*.jar")):
        expected = "must be the folder of Kafka's jars; run `marketpipeline setup`, or set MARKETPIPELINE_KAFKA_JARS"
        raise InvalidInput("this machine", [Problem("kafka_jars", str(jars), expected)])


def require_flink(python: Path) -> None:
    """Raise InvalidInput when the environment of the stream job is not set up."""
    if not os.access(python, os.X_OK):
        expected = (
            "must be the Python of the stream job's environment; run `marketpipeline setup`, or set "
            "MARKETPIPELINE_FLINK_PYTHON"
        )
        raise InvalidInput("this machine", [Problem("flink_python", str(python), expected)])


def require_open_files() -> None:
    """Let this process and what it starts open as many files as the system allows (a shell's limit may be 256).

    Raises InvalidInput when those are too few: a broker has several open for each partition.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if most < LEAST_OPEN_FILES:
        expected = f"files may be open at once, and a run needs {LEAST_OPEN_FILES}; raise the limit (ulimit -Hn)"
        raise InvalidInput("this machine", [Problem("ulimit -n", most, expected)])
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
