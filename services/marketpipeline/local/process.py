"""One process of a run: started in a group of its own under the reaper, ended with its whole group.

What an earlier run left running, although its supervisor and its reaper were both killed, is ended here too.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import stat
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from marketpipeline.errors import PermanentError
from marketpipeline.local.component import Command
from marketpipeline.local.environment import child_environment
from marketpipeline.local.reaper import MARK_VARIABLE, Reaper, sweep

__all__ = ["Process", "created_at", "end_leftovers", "privileges", "run_to_end"]

_CAP_DAC_READ_SEARCH = 2


class Process:
    """A started process. Its group holds what it started itself, and ends with it.

    It must be made on the main thread: on Linux the kernel asks it to stop when the thread that made it is gone.
    """

    def __init__(self, process: asyncio.subprocess.Process, reaper: Reaper) -> None:
        self._process = process
        self._reaper = reaper

    @classmethod
    async def start(cls, command: Command, log: Path, reaper: Reaper) -> Process:
        """Start `command` with its output at the end of `log`. Raises PermanentError when it cannot be started."""
        with log.open("ab") as out:
            try:
                process = await asyncio.create_subprocess_exec(
                    *_tied_to_us(command),
                    cwd=command.directory,
                    env=child_environment({**command.environment, MARK_VARIABLE: reaper.mark}),
                    stdin=DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
            except OSError as error:
                raise PermanentError(f"cannot start {command.arguments[0]}: {error.strerror}") from error
        reaper.add(process.pid)
        return cls(process, reaper)

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its group."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Exit status (negative: the signal that ended it), or None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end, then end what is left of its group, so that a new start meets nothing of the old one."""
        status = await self._process.wait()
        self._signal_group(signal.SIGKILL)
        self._reaper.remove(self.pid)
        return status

    async def stop(self, how: signal.Signals, seconds: float) -> int:
        """Ask it to stop, and kill its group when it has not ended after `seconds`."""
        if self.status is None:
            self._signal(how)
        try:
            async with asyncio.timeout(seconds):
                return await self.wait()
        except TimeoutError:
            self.kill()
            return await self.wait()

    def kill(self) -> None:
        """Kill the group."""
        self._signal_group(signal.SIGKILL)

    def _signal(self, how: signal.Signals) -> None:
        try:
            self._process.send_signal(how)
        except ProcessLookupError:
            return

    def _signal_group(self, how: signal.Signals) -> None:
        try:
            os.killpg(self.pid, how)
        except (ProcessLookupError, PermissionError):
            return


def _tied_to_us(command: Command) -> list[str]:
    """The command line: with the signal at our death where the system has it, and as the user that it asks for."""
    options = privileges(command.user, command.folders)
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None:
        if options:
            raise PermanentError(
                f"{command.arguments[0]} must not run as root, and setpriv (util-linux), which would run it as "
                f"{command.user}, is absent; install it, or run as another user"
            )
        return list(command.arguments)
    return [setpriv, *options, "--pdeathsig", command.death_signal.name.removeprefix("SIG"), "--", *command.arguments]


def privileges(user: str | None, folders: Sequence[Path]) -> list[str]:
    """Options of setpriv(1) that make a process run as `user`, none when that is None.

    When a folder that it needs lies below one that only its owner may enter (a checkout in /root), the process keeps
    the capability to pass through folders and to read; that leaves the permissions of the machine as they are.
    """
    if user is None:
        return []
    entry = pwd.getpwnam(user)
    options = ["--reuid", str(entry.pw_uid), "--regid", str(entry.pw_gid), "--clear-groups"]
    if all(_is_open(parent) for folder in folders for parent in folder.absolute().parents):
        return options
    capability = "+dac_read_search" if _have(_CAP_DAC_READ_SEARCH) else "+dac_override"
    return [*options, "--inh-caps", capability, "--ambient-caps", capability]


def _is_open(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)


def _have(capability: int) -> bool:
    """Whether this process has a capability (Linux)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return False
    mask = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
    return bool(mask >> capability & 1)


async def run_to_end(command: Command, log: Path, reaper: Reaper, seconds: float) -> None:
    """Run a command that ends by itself. Raises PermanentError when it fails or takes longer than `seconds`."""
    process = await Process.start(command, log, reaper)
    try:
        async with asyncio.timeout(seconds):
            status = await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise PermanentError(f"{command.arguments[0]} did not end within {seconds:g} s; see {log}") from None
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if status != 0:
        raise PermanentError(f"{command.arguments[0]} ended with status {status}; see {log}")


def created_at(pid: int) -> float | None:
    """When a process was created, which tells it from a later one with the same id; None when there is none."""
    import psutil  # absent where the stream job's tests start a server through this module

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def end_leftovers(live: Mapping[str, Any]) -> int:
    """End the processes that a state.json names and that are still the same ones; returns how many those were."""
    components = live.get("components")
    groups = set()
    for component in components.values() if isinstance(components, dict) else ():
        pid, created = component.get("process"), component.get("created")
        if pid is not None and created is not None and created_at(pid) == created:
            groups.add(int(pid))
    if groups:
        sweep(groups, str(live.get("mark", "")))
    return len(groups)
