"""The state folder of a pipeline: everything that a run leaves for the next one, owned by one process at a time.

version.json   format of the folder, name of the pipeline, kind of exchange that its data came from
lock           held (flock) by the process that uses the folder; its id is written in it
state.json     while it runs: components with process id, address and state
change.json    what `marketpipeline apply` asks of the run, and changed.json what became of it
selection.json what the selectors of the pipeline stood for last
secrets.json   passwords of the stores on this machine, readable by the owner only
settings/      settings of each component as it was started
logs/          a log for each component
broker/ postgres/ valkey/ checkpoints/   the data
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from marketpipeline import __version__
from marketpipeline.errors import InvalidInput, Problem, RetryableError

__all__ = ["FORMAT", "STORES", "RunningFolder", "StateFolder", "StateInUse", "choose_folder", "is_folder"]

FORMAT = 1
STORES = "stores"
"""The settings of the stores of a run, by the kind of sink."""
LEAST_FREE_BYTES = 1 << 30
_ROOT = Path(".marketpipeline")


def is_folder(store: Mapping[str, Any]) -> bool:
    """Whether the settings of a store name a folder of this machine: whoever may read the files needs no server."""
    return str(store.get("url", "")).startswith("file:")


def choose_folder(pipeline: str, source: str, root: Path = _ROOT) -> Path:
    """The folder for a run without `--state`: `.marketpipeline/<name>`.

    Where that holds data of another kind of exchange (simulated, live, replay), which must not be mixed with this
    one's, it is `.marketpipeline/<name>-<kind>`.
    """
    plain = root / pipeline
    known = _read(plain / "version.json").get("source", source)
    return plain if known == source else root / f"{pipeline}-{source}"


class StateFolder:
    """An open state folder. `path` is absolute."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock

    @classmethod
    def open(cls, path: Path, pipeline: str, source: str, *, wait_seconds: float = 10.0) -> Self:
        """Take the folder for a run, making it when it is new.

        Waits up to `wait_seconds` for what is left of a run that was killed. Raises InvalidInput for a folder that is
        in use, of another version, pipeline or kind of exchange, not writable, or on a disk that is full.
        """
        path = path.absolute()
        _make(path)
        lock = _lock(path, wait_seconds)
        try:
            _require_access(path)
            known = _read(path / "version.json")
            if known:
                _check_version(path, known)
                _check_owner(path, known, pipeline, source)
            elif any(entry.name != "lock" for entry in path.iterdir()):
                raise _wrong(path, "is neither empty nor a state folder; choose another --state")
            _check_space(path)
            folder = cls(path, lock)
            if not known:
                folder._write("version.json", {"format": FORMAT, "pipeline": pipeline, "source": source})
        except BaseException:
            os.close(lock)
            raise
        return folder

    @classmethod
    def open_existing(cls, path: Path, *, wait_seconds: float) -> Self:
        """Take the folder of a run that has ended. Raises InvalidInput where there is none, or it is in use."""
        path = path.absolute()
        known = _read(path / "version.json")
        if not known:
            _require_access(path)
            raise _wrong(path, "holds no state of a pipeline; name the folder of a run with --state")
        _check_version(path, known)
        _require_access(path)
        return cls(path, _lock(path, wait_seconds))

    @property
    def pipeline(self) -> str:
        """Name of the pipeline that the folder belongs to."""
        return str(_read(self.path / "version.json")["pipeline"])

    def folder(self, name: str) -> Path:
        """A folder in it, made when absent."""
        found = self.path / name
        found.mkdir(exist_ok=True)
        return found

    def log(self, component: str) -> Path:
        """The log of a component; one that has grown large is put aside."""
        log = self.folder("logs") / f"{component}.log"
        if log.exists() and log.stat().st_size > 16 << 20:
            log.replace(log.with_suffix(".log.1"))
        return log

    def write_settings(self, component: str, settings: Mapping[str, Any]) -> Path:
        """Write the settings file of a component, readable by the owner only: it may hold a password."""
        return self._write(str(Path(self.folder("settings").name) / f"{component}.json"), settings)

    def read_settings(self, component: str) -> dict[str, Any]:
        """What was written for a component, empty when nothing was."""
        return _read(self.folder("settings") / f"{component}.json")

    def write_live(self, live: Mapping[str, Any]) -> None:
        """Replace state.json. Raises RetryableError when the disk does not take it; the former one stays."""
        try:
            self._write("state.json", live)
        except OSError as error:
            raise RetryableError(f"{self.path / 'state.json'} cannot be written: {error.strerror}") from error

    def read_live(self) -> dict[str, Any]:
        """What state.json holds; empty when there is none."""
        return _read(self.path / "state.json")

    def wanted_change(self) -> dict[str, Any]:
        """What was asked of this run last, with its `id`; empty when nothing was."""
        return _read(self.path / "change.json")

    def tell_changed(self, asked: Mapping[str, Any], said: Sequence[str], *, done: bool | None) -> None:
        """What has become of a change: what was said so far, and once it has ended whether it was made."""
        with contextlib.suppress(OSError):  # a full disk must not end the run
            self._write("changed.json", {"id": asked["id"], "said": list(said), "done": done})

    def read_selection(self) -> list[str]:
        """The symbols that the pipeline's selectors stood for last."""
        return list(_read(self.path / "selection.json").get("symbols", []))

    def write_selection(self, symbols: Sequence[str]) -> None:
        """Remember them. A disk that is full is no reason to end the run."""
        with contextlib.suppress(OSError):
            self._write("selection.json", {"symbols": list(symbols)})

    def password(self, store: str) -> str:
        """The password of a store on this machine, made at the first use."""
        known = _read(self.path / "secrets.json")
        if store not in known:
            known[store] = secrets.token_urlsafe(24)
            self._write("secrets.json", known)
        return str(known[store])

    def close(self) -> None:
        """Let others take the folder."""
        os.close(self.lock)

    def _write(self, name: str, content: Mapping[str, Any]) -> Path:
        return _write(self.path / name, content)


class RunningFolder:
    """The state folder of a run, as another process sees it that wants the run to change."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def find(cls, pipeline: str, path: Path | None, root: Path = _ROOT) -> Self:
        """The folder `path`, or that of the run of this pipeline. Raises InvalidInput where none is running."""
        some = [path] if path is not None else sorted(root.glob(f"{pipeline}*"))
        found = [one for one in some if _read(one / "version.json").get("pipeline") == pipeline and _is_running(one)]
        if len(found) == 1:
            return cls(found[0].absolute())
        if found:
            raise _wrong(found[0], f"is one of several: name one of {', '.join(map(str, found))}")
        where = root / pipeline if path is None else path
        raise _wrong(where, f"must be of a run of {pipeline!r} that is on now; start one with `marketpipeline run`")

    def ask(self, source: str, text: str) -> str:
        """Ask the run to become what `text` says, YAML read from `source`; the id of what was asked."""
        name = secrets.token_hex(8)
        _write(self.path / "change.json", {"id": name, "source": source, "text": text})
        return name

    def changed(self, name: str) -> dict[str, Any]:
        """What has become of it, empty while the run has not taken it up. Raises RetryableError when that has ended."""
        told = _read(self.path / "changed.json")
        if told.get("id") == name:
            return told
        if not _is_running(self.path):
            raise RetryableError("the run has ended meanwhile")
        return {}


def _write(target: Path, content: Mapping[str, Any]) -> Path:
    temporary = target.with_name(f".{target.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(content, out, indent=2, default=str)
    temporary.replace(target)
    return target


def _is_running(path: Path) -> bool:
    try:
        holder = (path / "lock").read_text(errors="replace").strip()
    except OSError:
        return False
    return _read(path / "state.json").get("phase") == "running" and not _is_dead(holder)


class StateInUse(InvalidInput):
    """A folder that another process has."""


def _wrong(path: Path, expected: str, kind: type[InvalidInput] = InvalidInput) -> InvalidInput:
    return kind("state folder", [Problem("--state", str(path), expected)])


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        with (path / "lock").open("a"):
            """Only to see that it can be written."""
    except OSError as error:
        raise _wrong(path, f"cannot be written: {error.strerror}; choose another --state") from error


def _require_access(path: Path) -> None:
    """Raise InvalidInput that names what this user may not use, e.g. after a run on the same folder as root."""
    try:
        for entry in (path, *path.iterdir()):
            if not os.access(entry, os.R_OK | os.W_OK | (os.X_OK if entry.is_dir() else 0)):
                found = entry.stat()
                its = f"{entry} is {stat.filemode(found.st_mode)} of user {found.st_uid}, and this is {os.geteuid()}"
                raise _wrong(path, f"cannot be used: {its}; run as that user, or choose another --state")
    except FileNotFoundError:
        return
    except OSError as error:
        raise _wrong(path, f"cannot be used: {error.strerror}; run as its user, or choose another --state") from error


def _lock(path: Path, wait_seconds: float) -> int:
    """An open, locked descriptor. While the holder named in the file is dead, its reaper is tidying up: wait."""
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            if not _is_dead(holder) or time.monotonic() > deadline:
                os.close(descriptor)
                expected = f"is in use by process {holder}; stop that one, or choose another --state"
                raise _wrong(path, expected, StateInUse) from None
            time.sleep(0.1)
            continue
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor


def _is_dead(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return True
    except PermissionError:
        return False
    return False


def _check_version(path: Path, known: Mapping[str, Any]) -> None:
    if known.get("format") != FORMAT:
        raise _wrong(
            path,
            f"was written in format {known.get('format')!r} by another release, {__version__} reads format {FORMAT}; "
            "run that release, or choose another --state (this one is not touched)",
        )


def _check_owner(path: Path, known: Mapping[str, Any], pipeline: str, source: str) -> None:
    if known.get("pipeline") != pipeline:
        raise _wrong(
            path, f"belongs to pipeline {known.get('pipeline')!r}, not to {pipeline!r}; choose another --state"
        )
    if known.get("source") != source:
        raise _wrong(
            path,
            f"holds data of a {known.get('source')} exchange, which is not to be mixed with {source} data; "
            "choose another --state",
        )


def _check_space(path: Path) -> None:
    free = shutil.disk_usage(path).free
    if free < LEAST_FREE_BYTES:
        raise _wrong(
            path,
            f"is on a disk with {free >> 20} MiB left, a run needs at least {LEAST_FREE_BYTES >> 20} MiB; make room, "
            "or choose a --state on another disk",
        )
