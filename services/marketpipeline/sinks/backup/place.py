"""A folder of backups, on S3 or of this machine, by Arrow's file systems. Their exceptions stop here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from pyarrow import fs

from marketpipeline.errors import RetryableError
from marketpipeline.settings import PlaceSettings

__all__ = ["Place"]

_CHUNK = 1 << 20


class Place:
    """Files below a folder, by their paths within it. All methods raise RetryableError where it cannot be reached.

    What is written is what stands there: Arrow, unless it is told not to, compresses by a name's ending.
    """

    def __init__(self, settings: PlaceSettings) -> None:
        self._settings = settings
        address = urlsplit(settings.url)
        if address.scheme == "s3":
            self._root = f"{address.netloc}{address.path}".rstrip("/")
            self._files: Any = fs.S3FileSystem(**_s3(settings))
        else:
            self._root = unquote(address.path).rstrip("/")
            self._files = fs.LocalFileSystem()

    def folders(self, path: str = "") -> list[str]:
        """Names of the folders in a folder, sorted; none in one that is absent."""
        return [name for name, is_folder, _ in self._list(path) if is_folder]

    def files(self, path: str) -> dict[str, float]:
        """The files in a folder, and when each was written."""
        return {name: written for name, is_folder, written in self._list(path) if not is_folder}

    def _list(self, path: str) -> list[tuple[str, bool, float]]:
        with self._translated():
            selector = fs.FileSelector(self._at(path), allow_not_found=True)
            found = self._files.get_file_info(selector)
        return sorted((i.base_name, i.type == fs.FileType.Directory, _seconds(i)) for i in found)

    def read(self, path: str) -> bytes | None:
        """A small file; None where there is none."""
        with self._translated():
            [info] = self._files.get_file_info([self._at(path)])
            if info.type != fs.FileType.File:
                return None
            with self._files.open_input_stream(info.path, compression=None) as stream:
                return bytes(stream.read())

    @contextmanager
    def reading(self, path: str) -> Iterator[IO[bytes]]:
        """A file, to be read from its beginning."""
        with self._translated(), self._files.open_input_stream(self._at(path), compression=None) as stream:
            yield stream

    @contextmanager
    def writing(self, path: str) -> Iterator[IO[bytes]]:
        """A new file and its folders, there as a whole when this ends."""
        place = self._at(path)
        with self._translated():
            if isinstance(self._files, fs.LocalFileSystem):
                self._files.create_dir(place.rpartition("/")[0], recursive=True)
            with self._files.open_output_stream(place, compression=None) as stream:
                yield stream

    def copy(self, path: str, target: Place, to: str) -> None:
        """A file of this place to another."""
        with self.reading(path) as source, target.writing(to) as sink:
            while part := source.read(_CHUNK):
                sink.write(part)

    def remove(self, path: str) -> None:
        """Remove a folder with all that is in it."""
        with self._translated():
            self._files.delete_dir(self._at(path))

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}".rstrip("/")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RetryableError(f"{self._settings.url} cannot be reached: {str(error).splitlines()[0]}") from error


def _seconds(info: fs.FileInfo) -> float:
    return (info.mtime_ns or 0) / 1e9


def _s3(settings: PlaceSettings) -> dict[str, Any]:
    """Without keys Arrow finds the identity of the Pod or the machine itself."""
    endpoint = urlsplit(settings.endpoint or "")
    found = {
        "endpoint_override": endpoint.netloc or None,
        "scheme": endpoint.scheme or "https",
        "region": settings.region or ("us-east-1" if settings.endpoint else None),
        "access_key": settings.access_key_id and settings.access_key_id.get_secret_value(),
        "secret_key": settings.secret_access_key and settings.secret_access_key.get_secret_value(),
        "force_virtual_addressing": not settings.path_style and bool(settings.endpoint),
        "connect_timeout": 5.0,
        "request_timeout": 30.0,
    }
    return {name: value for name, value in found.items() if value is not None}
