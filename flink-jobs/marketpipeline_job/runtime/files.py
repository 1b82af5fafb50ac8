"""Files where the state is, through Flink: what it can write to (a folder, S3, …) can be looked at here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from marketpipeline.errors import RetryableError
from py4j.protocol import Py4JError, Py4JJavaError

__all__ = ["Entry", "Files", "FlinkFiles", "flink_path"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder: its path as Flink writes it, and when it was last written, in milliseconds since the epoch."""

    path: str
    is_folder: bool
    modified: int

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rstrip("/").rpartition("/")[2]


def flink_path(uri: str) -> str:
    """A folder as Flink's settings name it.

    Flink takes all that follows the scheme as it stands: the percent signs of a file's URI would name another folder.
    """
    address = urlsplit(uri)
    return f"file://{unquote(address.path)}".rstrip("/") if address.scheme in ("", "file") else uri.rstrip("/")


class Files(Protocol):
    """What is asked of the place of the state. All raise RetryableError where it cannot be reached."""

    def list(self, folder: str) -> list[Entry]:
        """What is in a folder; nothing for one that is absent."""

    def read(self, file: str) -> bytes | None:
        """A small file, or None for one that is absent."""

    def write(self, file: str, content: bytes) -> None:
        """Write a small file and its folders, over an older one."""

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all that is in it."""


class FlinkFiles:
    """Flink's file systems, in the JVM that PyFlink speaks to (py4j's view of it)."""

    def __init__(self, jvm: Any) -> None:
        self._fs = jvm.org.apache.flink.core.fs

    def list(self, folder: str) -> list[Entry]:
        with _translated(folder):
            place = self._fs.Path(folder)
            system = place.getFileSystem()
            if not system.exists(place):
                return []
            return [
                Entry(f"{folder}/{status.getPath().getName()}", bool(status.isDir()), int(status.getModificationTime()))
                for status in system.listStatus(place)
            ]

    def read(self, file: str) -> bytes | None:
        with _translated(file):
            place = self._fs.Path(file)
            system = place.getFileSystem()
            if not system.exists(place):
                return None
            stream = system.open(place)
            try:
                return bytes(stream.readAllBytes())
            finally:
                stream.close()

    def write(self, file: str, content: bytes) -> None:
        with _translated(file):
            place = self._fs.Path(file)
            stream = place.getFileSystem().create(place, self._fs.FileSystem.WriteMode.OVERWRITE)
            stream.write(bytearray(content))
            stream.close()

    def remove(self, path: str) -> None:
        with _translated(path):
            place = self._fs.Path(path)
            place.getFileSystem().delete(place, True)


@contextmanager
def _translated(place: str) -> Iterator[None]:
    try:
        yield
    except Py4JJavaError as error:
        raise RetryableError(f"{place} cannot be reached: {error.java_exception.toString()}") from error
    except Py4JError as error:
        raise RetryableError(f"{place} cannot be reached: {error}") from error
