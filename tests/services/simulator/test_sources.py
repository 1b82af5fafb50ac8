"""Captures merged into one order of time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from marketpipeline.errors import InvalidCapture
from marketpipeline.simulator.captures import load
from marketpipeline.simulator.protocols import protocols
from marketpipeline.simulator.sources import Replay

from tests.services.simulator.client import diff, snapshot, trade, write_capture

PROTOCOL = protocols()["binance"]


def replay(*paths: Path, keep: int = 1 << 30) -> Replay:
    return Replay([load(path, (PROTOCOL.read, PROTOCOL.read_rest), keep) for path in paths])


def drain(source: Replay, limit: int = 100) -> list[tuple[int, str]]:
    taken: list[tuple[int, str]] = []
    while frames := source.take(None, limit):
        taken.extend((frame.due, frame.stream) for frame in frames)
    return taken


@pytest.mark.parametrize("keep", [0, 1 << 30])
def test_two_captures_in_the_order_of_their_receive_times(real_capture: Callable[[str], Path], keep: int) -> None:
    names = ["binance_btcusdt_20240808.gz", "binance_ethusdt_20240808.gz"]
    source = replay(*map(real_capture, names), keep=keep)
    assert source.symbols == ["BTCUSDT", "ETHUSDT"]
    assert len(source.streams) == 6
    assert len(source.snapshots) == 2
    taken = drain(source)
    assert len(taken) == 3451 + 28040 + 9757 + 3434 + 24077 + 6106 + 2
    assert [due for due, _ in taken] == sorted(due for due, _ in taken)
    assert source.next_due() is None
    assert source.next_event_time() == 0


def test_frames_are_given_when_they_are_due(tmp_path: Path) -> None:
    source = replay(write_capture(tmp_path / "a.gz", [trade(0, 1), trade(10, 2), trade(20, 3)]))
    first = source.next_due()
    assert first is not None
    assert source.take(first - 1, 9) == []
    assert len(source.take(first + 10_000_000, 9)) == 2
    assert source.next_due() == first + 20_000_000
    assert source.next_event_time() == (first + 20_000_000) // 1000
    assert len(source.take(None, 9)) == 1


def test_no_more_than_the_limit(tmp_path: Path) -> None:
    source = replay(write_capture(tmp_path / "a.gz", [trade(0, number) for number in range(10)]))
    assert [len(source.take(None, 4)) for _ in range(4)] == [4, 4, 2, 0]


def test_the_books_to_start_from_are_the_first_of_each_symbol(tmp_path: Path) -> None:
    lines = [diff(0, 1, 2, [], []), snapshot(1, 1, [], []), snapshot(9, 7, [], [])]
    (frame,) = replay(write_capture(tmp_path / "a.gz", lines)).snapshots
    assert b'"lastUpdateId":1' in frame.message


def test_the_same_capture_twice_is_refused(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "a.gz", [trade(0, 1), trade(10, 2)])
    with pytest.raises(InvalidCapture, match=r"btcusdt@trade.*give each recording once"):
        replay(path, path)


def test_one_recording_after_the_other_is_not(tmp_path: Path) -> None:
    first = write_capture(tmp_path / "a.gz", [trade(0, 1), trade(10, 2)])
    second = write_capture(tmp_path / "b.gz", [trade(11, 3), trade(20, 4)])
    assert len(drain(replay(second, first))) == 4
