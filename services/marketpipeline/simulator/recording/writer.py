"""Writes a capture so that what was flushed survives any end of the process."""

from __future__ import annotations

import contextlib
import gzip
import os
from pathlib import Path

from marketpipeline.errors import InvalidInput, PermanentError, Problem

__all__ = ["CaptureWriter"]

MAX_BUFFER = 1 << 20
"""Bytes of lines after which they are written without being told."""


class CaptureWriter:
    """Lines of a capture; each flush is a gzip member of its own.

    So the file is a complete gzip file after every flush, whatever then happens to the process; readers of
    gzip join the members. It costs 2.6 % in size at a flush every 2 s (docs/decisions/0042).
    """

    def __init__(self, path: Path) -> None:
        """Create the file. Raises InvalidInput when it exists or cannot be created: nothing is overwritten."""
        self.path = path
        self.lines = 0
        self.size = 0
        """Bytes in the file."""
        self._buffer: list[bytes] = []
        self._buffered = 0
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError as error:
            expected = "must be a new file; a recording overwrites nothing"
            raise InvalidInput("record", [Problem("--out", str(path), expected)]) from error
        except OSError as error:
            expected = f"must be a file that can be created: {error.strerror}"
            raise InvalidInput("record", [Problem("--out", str(path), expected)]) from error

    def add_frame(self, time: int, frame: bytes) -> None:
        """A message as it came; `time` is the receive time in nanoseconds."""
        self._add(b"%d %b\n" % (time, _one_line(frame)))

    def add_answer(self, time: int, url: str, body: bytes) -> None:
        """The answer to a REST request."""
        self._add(b"%d %b %b\n" % (time, url.encode(), _one_line(body)))

    def _add(self, line: bytes) -> None:
        self._buffer.append(line)
        self._buffered += len(line)
        self.lines += 1
        if self._buffered >= MAX_BUFFER:
            self.flush()

    def flush(self) -> None:
        """Write what was added. Raises PermanentError when the disk does not take it; the file then ends before it."""
        if not self._buffer:
            return
        member = gzip.compress(b"".join(self._buffer), compresslevel=6, mtime=0)
        try:
            written = 0
            while written < len(member):
                written += os.write(self._file, member[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise PermanentError(f"{self.path}: cannot write: {error.strerror}; it holds what was flushed") from error
        self.size += len(member)
        self._buffer.clear()
        self._buffered = 0

    def close(self) -> None:
        """Flush and close; the file goes where nothing was ever written."""
        try:
            self.flush()
        finally:
            os.close(self._file)
            if not self.size:
                self.path.unlink(missing_ok=True)


def _one_line(text: bytes) -> bytes:
    """JSON may have line breaks between its tokens; a capture has one line for each message."""
    return text.replace(b"\r", b"").replace(b"\n", b"") if b"\n" in text else text
