"""What every suite shares: where things are, what a test does without something it needs, waiting with a bound.

It is read in both environments, so it imports nothing but pytest and the standard library.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

PROJECT = Path(__file__).resolve().parent.parent
CAPTURES = PROJECT.parent / "shared" / "data"
FLINK_PYTHON = PROJECT / "flink-jobs" / ".venv" / "bin" / "python"
JARS = PROJECT / ".cache" / "jars"

T = TypeVar("T")


def require(condition: object, reason: str) -> None:
    """Go on only where `condition` holds: else the test skips with `reason` on a laptop, and fails where CI is set.

    For what a test needs from outside (a capture, Node, root, a browser), so that CI cannot pass by skipping.
    """
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI must have this: {reason}", pytrace=False)
    pytest.skip(reason)


def wait_for(condition: Callable[[], T | None], what: str, *, seconds: float = 30.0, every: float = 0.05) -> T:
    """The first true value of `condition`, asked for until `seconds` are over; then the test fails, naming `what`."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(every)


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of real exchange captures (`../shared/data` from the project's root); they are never copied."""
    require(CAPTURES.is_dir(), f"no captures: {CAPTURES} is absent")
    return CAPTURES


@pytest.fixture(scope="session")
def capture(captures: Path) -> Callable[[str], Path]:
    """A capture by its file name, as in `capture("okx_20220513.gz")`."""

    def find(name: str) -> Path:
        require((captures / name).is_file(), f"no capture {name} in {captures}")
        return captures / name

    return find
