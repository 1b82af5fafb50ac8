"""The reaper: ends what a supervisor started when the supervisor itself is gone, however it went.

It runs as a process of its own (`python -I -S reaper.py MARK`), holds the read end of a pipe whose only write end is
the supervisor's, and is told of each process group. When the pipe ends without a goodbye, the supervisor was killed:
then every process of these groups, and every process that carries the mark in its environment (one that moved to a
group of its own), is asked to stop and soon after killed. Standard library only, since it runs without packages.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

__all__ = ["MARK_VARIABLE", "Reaper", "main", "sweep"]

MARK_VARIABLE = "PIPELINE_RUN_MARK"
"""Environment variable of every process of a run; its value is unique to the run."""

_PROC = Path("/proc")
_GRACE = 5.0


class Reaper:
    """The supervisor's side. `inherited` are descriptors that the reaper keeps open as long as it lives (the lock)."""

    def __init__(self, mark: str, inherited: Iterable[int] = ()) -> None:
        self.mark = mark
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=tuple(inherited),
        )

    @property
    def pid(self) -> int:
        """The reaper's process id."""
        return self._process.pid

    def add(self, group: int) -> None:
        """Watch over a process group."""
        self._tell(f"+{group}")

    def remove(self, group: int) -> None:
        """Forget a process group that has ended."""
        self._tell(f"-{group}")

    def dismiss(self) -> None:
        """All is stopped in order: let the reaper go."""
        self._tell("bye")
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tell(self, line: str) -> None:
        if self._process.stdin is None or self._process.stdin.closed:
            return
        try:
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            """It was killed; the parent-death signal of each process still stands."""


def sweep(groups: set[int], mark: str, grace: float = _GRACE) -> bool:
    """Ask all members of `groups` and all bearers of `mark` to stop, kill what is left after `grace` seconds.

    Returns whether nothing is left.
    """
    for how, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
        for pid in _members(groups, mark):
            _signal(pid, how)
        deadline = time.monotonic() + seconds
        while _members(groups, mark):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            return True
    return False


def _signal(pid: int, how: signal.Signals) -> None:
    try:
        os.kill(pid, how)
    except (ProcessLookupError, PermissionError):
        return


def _members(groups: set[int], mark: str) -> list[int]:
    """Living processes (no zombies) of the groups or with the mark, but for this one."""
    if not _PROC.is_dir():
        return [-group for group in groups if _alive(-group)]
    wanted = f"{MARK_VARIABLE}={mark}".encode()
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            state, _, group = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:3]
            if state in (b"Z", b"X"):
                continue
            if int(group) in groups or wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return found


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main() -> int:
    """Be the reaper."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: set[int] = set()
    for raw in sys.stdin.buffer:
        line = raw.decode().strip()
        if line == "bye":
            return 0
        if line.startswith("+"):
            groups.add(int(line[1:]))
        elif line.startswith("-"):
            groups.discard(int(line[1:]))
    return 0 if sweep(groups, sys.argv[1]) else 1


if __name__ == "__main__":
    sys.exit(main())
