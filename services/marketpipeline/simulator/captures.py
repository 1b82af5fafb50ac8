"""Captures: gzip files with one `<receive time in ns> <raw frame>` a line, read whole before any is served.

Receive times in µs, ms or s are recognised by their digits and read as what they are.

A line may also be `<ns> <url> <body>`, the answer to a REST request: a book, or trades that no stream told. A file is
checked to its end first, so a truncated or damaged one is refused before a client has seen a frame. Captures that are
small are kept in memory while they are checked; larger ones are read a second time, as they are replayed.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median_low

from marketpipeline.errors import InvalidCapture, Problem
from marketpipeline.simulator.frames import Frame, Kind

__all__ = ["Capture", "Reader", "exchange_of", "load"]

Reader = tuple[Callable[[int, bytes], Frame | None], Callable[[int, str, bytes], Frame | None]]
"""How an exchange's protocol reads a frame, and a REST answer."""

_FORM = "must be `<receive time, ns since the epoch> <frame>`"
_NANOSECONDS = {19: 1, 16: 1_000, 13: 1_000_000, 10: 1_000_000_000}
"""What a receive time is multiplied by, by the number of its digits: these tell ns, µs, ms and s apart until 2286."""
_LINES_TO_TELL = 1_000
"""Lines from which the exchange of a capture is told; acknowledgements and notices may come first."""
_IMPLAUSIBLE = 3_600_000_000
"""Microseconds from which an event time is taken for wrong: so much further from its receive time than was usual.

What is usual at the beginning is the middle of the first ones: a capture of a replay has the receive times of that.
Such a message is sent as it is and means nothing to the simulator itself: it moves no clock, and REST does not know it.
"""


@dataclass(slots=True)
class Capture:
    """One checked file: what it holds, and its frames in their order."""

    path: Path
    reader: Reader
    lines: int = 0
    size: int = 0
    """Bytes when unpacked."""
    streams: dict[str, int] = field(default_factory=dict)
    """Frames of each stream."""
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    """First and last `due` of each stream."""
    symbols: set[str] = field(default_factory=set)
    diffs: set[str] = field(default_factory=set)
    """Symbols whose book changes it holds."""
    snapshots: dict[str, Frame] = field(default_factory=dict)
    """The first book snapshot of each symbol."""
    answers: dict[str, list[int]] = field(default_factory=dict)
    """By symbol when REST answered with its book."""
    past: list[Frame] = field(default_factory=list)
    """Trades that REST told, each frame a page of them."""
    first_event_time: int = 0
    """The earliest, 0 for none."""
    last_event_time: int = 0
    kept: list[Frame] | None = field(default_factory=list)

    def frames(self) -> Iterator[Frame]:
        """The frames, from memory or from the file again. Raises InvalidCapture if the file has changed."""
        if self.kept is not None:
            return iter(self.kept)
        return self._named(_read(self.path, self.reader))

    def _named(self, frames: Iterator[tuple[Frame, int]]) -> Iterator[Frame]:
        for frame, _ in frames:
            if not frame.symbol:
                frame.symbol = self.owner()
            if not _is_past(frame):
                yield frame

    def owner(self) -> str:
        """The symbol of a snapshot that names none: the only one whose book the capture follows."""
        return next(iter(self.diffs)) if len(self.diffs) == 1 else ""


def load(path: Path, reader: Reader, keep_bytes: int) -> Capture:
    """Check a capture to its end. Raises InvalidCapture that names the file, the line and what would be right.

    Its frames stay in memory unless it unpacks to more than `keep_bytes`.
    """
    capture = Capture(path, reader)
    unnamed: list[tuple[Frame, int]] = []
    for frame, line in _read(path, reader, capture):
        if _is_past(frame):
            capture.past.append(frame)
            continue
        if not frame.symbol:
            unnamed.append((frame, line))
        else:
            _note(capture, frame)
        if capture.kept is not None:
            capture.kept.append(frame)
            if capture.size > keep_bytes:
                capture.kept = None
    owner = capture.owner()
    for frame, line in unnamed:
        if not owner:
            books = f"the capture follows {len(capture.diffs)} books"
            expected = f"names no symbol, and {books}; the line must be `<ns> <url> <body>`"
            raise InvalidCapture(str(path), [Problem(f"line {line}", "a depth snapshot", expected)])
        frame.symbol = owner
        _note(capture, frame)
    if not capture.streams and not capture.snapshots:
        held = "nothing" if not capture.lines else f"{capture.lines} lines without market data"
        raise InvalidCapture(str(path), [Problem("capture", held, "must hold at least one frame of market data")])
    return capture


def exchange_of(path: Path, readers: Mapping[str, Reader]) -> str:
    """Whose capture it is, of those that can read it: the first whose market data its beginning holds; empty for none.

    Raises InvalidCapture for a file that cannot be read at all.
    """
    for name, (read_frame, read_rest) in readers.items():
        for _, line in islice(_lines(path), _LINES_TO_TELL):
            _, _, message = line.strip().partition(b" ")
            url, _, body = message.partition(b" ")
            try:
                rest = message.startswith(b"http")
                frame = read_rest(0, url.decode(), body) if rest else read_frame(0, message)
            except ValueError:
                break
            if frame is not None:
                return name
    return ""


def _is_past(frame: Frame) -> bool:
    return not frame.stream and frame.kind in (Kind.TRADE, Kind.AGG_TRADE)


def _note(capture: Capture, frame: Frame) -> None:
    capture.symbols.add(frame.symbol)
    if frame.kind is Kind.SNAPSHOT:
        capture.snapshots.setdefault(frame.symbol, frame)
        if not frame.stream:
            capture.answers.setdefault(frame.symbol, []).append(frame.due)
    stream = frame.stream
    if not stream:
        return
    if frame.kind is Kind.DIFF:
        capture.diffs.add(frame.symbol)
    capture.streams[stream] = capture.streams.get(stream, 0) + 1
    first, _ = capture.spans.get(stream, (frame.due, 0))
    capture.spans[stream] = (first, frame.due)
    if frame.event_time:
        capture.first_event_time = min(capture.first_event_time or frame.event_time, frame.event_time)
        capture.last_event_time = max(capture.last_event_time, frame.event_time)


def _read(path: Path, reader: Reader, count: Capture | None = None) -> Iterator[tuple[Frame, int]]:
    read_frame, read_rest = reader
    latest, usual = 0, _usual(path, read_frame)
    for number, line in _lines(path):
        if count is not None:
            count.lines, count.size = number, count.size + len(line)
        stamp, _, message = line.rstrip(b"\r\n").partition(b" ")
        try:
            if not stamp.isdigit() or not message:
                raise ValueError(_FORM)
            latest = max(latest, _nanoseconds(stamp))
            if message.startswith(b"http"):
                url, _, body = message.partition(b" ")
                frame = read_rest(latest, url.decode(), body)
            else:
                frame = read_frame(latest, message)
        except ValueError as error:
            shown = line[:60].decode(errors="replace").rstrip()
            raise InvalidCapture(str(path), [Problem(f"line {number}", shown, str(error))]) from error
        if frame is None:
            continue
        if frame.event_time:
            ahead = frame.event_time - latest // 1000
            if abs(ahead - usual) > _IMPLAUSIBLE:
                frame.event_time, frame.kind = 0, Kind.OTHER
            else:
                usual = ahead
        yield frame, number


def _usual(path: Path, read_frame: Callable[[int, bytes], Frame | None]) -> int:
    """How far event times are ahead of receive times at the beginning, in microseconds."""
    found = []
    for _, line in islice(_lines(path), _LINES_TO_TELL):
        stamp, _, message = line.strip().partition(b" ")
        try:
            frame = None if message.startswith(b"http") else read_frame(0, message)
            if frame is not None and frame.event_time:
                found.append(frame.event_time - _nanoseconds(stamp) // 1000)
        except ValueError:
            break  # it is told by who reads the file for good
    return median_low(found) if found else 0


def _nanoseconds(stamp: bytes) -> int:
    if len(stamp) not in _NANOSECONDS:
        raise ValueError(f"{_FORM}: {len(stamp)} digits are neither ns (19) nor µs (16), ms (13) or s (10)")
    return int(stamp) * _NANOSECONDS[len(stamp)]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with gzip.open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                yield number, line
    except EOFError as error:
        expected = f"is cut off after line {number}; it must be a complete gzip file"
        raise InvalidCapture(str(path), [Problem("gzip", "truncated", expected)]) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        found = "damaged" if number else "no gzip"
        expected = f"must be a gzip file (line {number} was the last that could be read): {error}"
        raise InvalidCapture(str(path), [Problem("gzip", found, expected)]) from error
    except OSError as error:
        problem = Problem("file", str(path), f"must be readable: {error.strerror or error}")
        raise InvalidCapture(str(path), [problem]) from error
