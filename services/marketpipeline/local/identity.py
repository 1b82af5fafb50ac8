"""Running a server as another OS user: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Sequence
from pathlib import Path

__all__ = ["give", "privileges", "unprivileged_user"]

_CANDIDATES = ("postgres", "nobody")


def unprivileged_user() -> str | None:
    """The user that a server which refuses root runs as; None when we are not root ourselves. None is made."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in _CANDIDATES if name in names), None)


def give(folder: Path, user: str | None) -> None:
    """Make `user` the owner of `folder` and of all in it."""
    if user is None:
        return
    entry = pwd.getpwnam(user)
    if folder.stat().st_uid == entry.pw_uid:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


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


_CAP_DAC_READ_SEARCH = 2


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
