"""What a process of a run takes over from the shell: what is named here, and nothing else.

A shell holds variables that change what a program does without anybody meaning this one: `PGSSLMODE` and the other
thirty of libpq, `JAVA_TOOL_OPTIONS`, proxies, `PYTHONPATH`, `FLINK_CONF_DIR`. To remove those that are known leaves the
next one in, so each process starts from an empty environment to which these are added. What a run shall take over (a
proxy, certificates, where Java is) is a setting, read once by `settings.local`, and put where it is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["child_environment", "without_libpq_variables"]

_TAKEN_OVER = (
    "HOME",
    "LOGNAME",
    "PATH",
    "TZ",
    "USER",
    # Where a Python that was built with a shared library finds it.
    "DYLD_LIBRARY_PATH",
    "LD_LIBRARY_PATH",
)
_TAKEN_OVER_PREFIX = "MARKETPIPELINE_TELEMETRY__"
"""Level of the logs and the collector of traces are the same for every process; other settings are the plan's."""

_LOCALE = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
"""One locale for all: file names are UTF-8, and no number, no upper case and no message depends on the user's."""


def child_environment(added: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a process of a run: what is taken over, the locale, and what is `added` for it."""
    taken = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - handed on to the process, not read
        if name in _TAKEN_OVER or name.startswith(_TAKEN_OVER_PREFIX)
    }
    return {**taken, **_LOCALE, **added}


@contextmanager
def without_libpq_variables() -> Iterator[None]:
    """Within the block libpq, which reads the environment of this process, finds none of its variables.

    For connections to a server of this machine: there is no parameter that overrides `PGSERVICE`.
    """
    hidden = {name: value for name, value in os.environ.items() if name.startswith("PG")}  # noqa: TID251 - see above
    for name in hidden:
        del os.environ[name]  # noqa: TID251 - see above
    try:
        yield
    finally:
        os.environ.update(hidden)  # noqa: TID251 - see above
