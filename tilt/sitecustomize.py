"""Part of the images that Tilt builds, of no others: on SIGHUP a process begins anew, with what is in /tmp/live.

The container is not restarted, which Tilt would take for a crash, and nothing but /tmp has to be writable. Python
imports this file by its name when it starts.
"""

import os
import signal
import sys
from types import FrameType


def _anew(_signal: int, _frame: FrameType | None) -> None:
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


signal.signal(signal.SIGHUP, _anew)
