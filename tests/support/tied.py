"""Processes that end with the test session that started them, however it ends: `kill -9` of pytest leaves no server.

The kernel's parent-death signal (Linux), set by setpriv(1) as in the local platform. It comes when the *thread* that
started the process ends, so such processes are started from the main thread. Where there is no setpriv (macOS) a
process stays when pytest is killed. Standard library only: it serves both environments, and the benchmarks.
"""

from __future__ import annotations

import shutil
import signal
import sys
import threading
from collections.abc import Sequence

__all__ = ["tied"]


def tied(arguments: Sequence[str], *, death: signal.Signals = signal.SIGKILL, options: Sequence[str] = ()) -> list[str]:
    """The command line that runs `arguments`, in the same process, and gets `death` when its parent is gone.

    `options` are more of setpriv's (another user); they need it to be there.
    """
    assert threading.current_thread() is threading.main_thread(), "what another thread starts ends with that thread"
    if sys.platform != "linux" or (not options and not shutil.which("setpriv")):
        return list(arguments)
    return ["setpriv", *options, "--pdeathsig", death.name.removeprefix("SIG"), "--", *arguments]
