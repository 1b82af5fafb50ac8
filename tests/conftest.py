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

from tests.support import captures

PROJECT = Path(__file__).resolve().parent.parent
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


def wait_for(condition: Callable[[], T | None], what: str, *, seconds: float = 60.0, every: float = 0.05) -> T:
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
def capture() -> Callable[[str], Path]:
    """A capture by its file name, real or, where that is absent, made by the simulator: see `support.captures`."""

    def found(name: str) -> Path:
        path = captures.find(name)
        require(path, f"no capture {name}: {captures.REAL} is absent")
        assert path is not None
        return path

    return found


@pytest.fixture(scope="session")
def real_capture() -> Callable[[str], Path]:
    """A capture of a real exchange by its file name, for what is known of that very file."""

    def found(name: str) -> Path:
        require((captures.REAL / name).is_file(), f"no capture {name}: it is not in {captures.REAL}")
        return captures.REAL / name

    return found
