"""One process of a run: started in a group of its own under the guard, ended with its whole group."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path

from marketpipeline.errors import PermanentError
from marketpipeline.local.component import Command
from marketpipeline.local.guard import MARK_VARIABLE, Guard
from marketpipeline.local.identity import privileges

__all__ = ["Process", "run_to_end"]


class Process:
    """A started process. Its group holds what it started itself, and ends with it.

    It must be made on the main thread: on Linux the kernel asks it to stop when the thread that made it is gone.
    """

    def __init__(self, process: asyncio.subprocess.Process, guard: Guard) -> None:
        self._process = process
        self._guard = guard

    @classmethod
    async def start(cls, command: Command, log: Path, guard: Guard) -> Process:
        """Start `command` with its output at the end of `log`. Raises PermanentError when it cannot be started."""
        environment = dict(os.environ)  # noqa: TID251 - handed on to the process, not read
        environment |= {**command.environment, MARK_VARIABLE: guard.mark}
        with log.open("ab") as out:
            try:
                process = await asyncio.create_subprocess_exec(
                    *_tied_to_us(command),
                    cwd=command.directory,
                    env=environment,
                    stdin=DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
            except OSError as error:
                raise PermanentError(f"cannot start {command.arguments[0]}: {error.strerror}") from error
        guard.add(process.pid)
        return cls(process, guard)

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
        self._guard.remove(self.pid)
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


async def run_to_end(command: Command, log: Path, guard: Guard, seconds: float) -> None:
    """Run a command that ends by itself. Raises PermanentError when it fails or takes longer than `seconds`."""
    process = await Process.start(command, log, guard)
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
