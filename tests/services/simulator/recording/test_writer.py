"""A capture is whole after every flush, whatever happens then."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from marketpipeline.errors import InvalidInput, PermanentError
from marketpipeline.simulator.recording.writer import MAX_BUFFER, CaptureWriter


def test_every_flush_leaves_a_complete_file(tmp_path: Path) -> None:
    writer = CaptureWriter(tmp_path / "a.gz")
    writer.add_frame(1, b'{"a":1}')
    writer.flush()
    assert gzip.decompress(writer.path.read_bytes()) == b'1 {"a":1}\n'
    writer.add_answer(2, "http://x/depth?symbol=B", b'{\n"b": 2\r\n}')
    assert gzip.decompress(writer.path.read_bytes()) == b'1 {"a":1}\n', "not flushed, not there, and nothing broken"
    writer.close()
    assert gzip.decompress(writer.path.read_bytes()) == b'1 {"a":1}\n2 http://x/depth?symbol=B {"b": 2}\n'
    assert (writer.lines, writer.size) == (2, writer.path.stat().st_size)


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    writer = CaptureWriter(tmp_path / "a.gz")
    while not writer.size:
        writer.add_frame(1, b"x" * 1000)
    assert writer.lines <= MAX_BUFFER // 1000 + 1
    writer.close()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(b"precious")
    with pytest.raises(InvalidInput, match="must be a new file"):
        CaptureWriter(path)
    assert path.read_bytes() == b"precious"
    with pytest.raises(InvalidInput, match="must be a file that can be created"):
        CaptureWriter(tmp_path / "nowhere" / "a.gz")


def test_a_recording_of_nothing_leaves_no_file(tmp_path: Path) -> None:
    writer = CaptureWriter(tmp_path / "a.gz")
    writer.close()
    assert not writer.path.exists()


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only place where a system call is replaced: no disk of this machine is to be filled."""
    writer = CaptureWriter(tmp_path / "a.gz")
    writer.add_frame(1, b"{}")
    writer.flush()
    real = os.write
    taken: list[bytes] = []

    def full(file: int, data: bytes) -> int:
        if taken:
            raise OSError(28, "No space left on device")
        taken.append(data)
        return real(file, data[:10])

    monkeypatch.setattr(os, "write", full)
    writer.add_frame(2, b"{}")
    with pytest.raises(PermanentError, match="No space left on device; it holds what was flushed"):
        writer.flush()
    assert gzip.decompress(writer.path.read_bytes()) == b"1 {}\n"
