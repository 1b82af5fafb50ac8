"""Reading captures: the real ones whole, and every way in which a file can be wrong."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from marketpipeline.errors import InvalidCapture
from marketpipeline.simulator.captures import Capture, load
from marketpipeline.simulator.frames import Kind
from marketpipeline.simulator.protocols import protocols
from marketpipeline.simulator.protocols.binance.wire import decode

from tests.services.simulator.client import START, diff, snapshot, trade, write_capture

PROTOCOL = protocols()["binance"]
READER = (PROTOCOL.read, PROTOCOL.read_rest)


def read(path: Path, keep: int = 1 << 30) -> Capture:
    return load(path, READER, keep)


def problem(path: Path) -> str:
    with pytest.raises(InvalidCapture) as caught:
        read(path)
    assert caught.value.source == str(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("binance_btcusdt_20240808.gz", {"depth@100ms": 3451, "bookTicker": 28040, "trade": 9757}),
        ("binance_ethusdt_20240808.gz", {"depth@100ms": 3434, "bookTicker": 24077, "trade": 6106}),
    ],
)
def test_the_big_captures(real_capture: Callable[[str], Path], name: str, counts: dict[str, int]) -> None:
    found = read(real_capture(name))
    (symbol,) = found.symbols
    assert found.streams == {f"{symbol.lower()}@{feed}": count for feed, count in counts.items()}
    assert list(found.snapshots) == [symbol]
    assert found.lines == sum(counts.values()) + 1
    assert found.last_event_time // 1_000_000 == 1723161601


def test_four_quiet_pairs_and_their_books_from_a_file_of_rest_answers(capture: Callable[[str], Path]) -> None:
    frames = read(capture("binance_illiquid_20211012.gz"))
    books = read(capture("binance_illiquid_20211012_rest_depth.gz"))
    assert len(frames.symbols) == 4
    assert frames.symbols == set(books.snapshots)
    assert {frame.kind for frame in frames.frames()} == {Kind.DIFF, Kind.QUOTE, Kind.AGG_TRADE, Kind.OTHER}
    assert sum(frames.streams.values()) == 177 + 84 + 2 + 2


def test_a_capture_of_another_exchange_is_refused_by_name(capture: Callable[[str], Path]) -> None:
    text = problem(capture("okx_20220513.gz"))
    assert "okx_20220513.gz" in text
    assert "line 1" in text
    assert "captures of other exchanges cannot be replayed" in text


def test_a_large_capture_is_read_again_instead_of_kept(capture: Callable[[str], Path]) -> None:
    path = capture("binance_illiquid_20211012.gz")
    kept, streamed = read(path), read(path, keep=10)
    assert streamed.kept is None
    assert [f.message for f in streamed.frames()] == [f.message for f in kept.frames()]
    assert streamed.streams == kept.streams


def test_a_truncated_file_is_refused_before_anything_is_served(capture: Callable[[str], Path], tmp_path: Path) -> None:
    whole = capture("binance_btcusdt_20240808.gz").read_bytes()
    cut = tmp_path / "cut.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    assert "is cut off after line" in problem(cut)


def test_a_damaged_file(capture: Callable[[str], Path], tmp_path: Path) -> None:
    data = bytearray(capture("binance_illiquid_20211012.gz").read_bytes())
    path = tmp_path / "damaged.gz"
    path.write_bytes(data[:-8] + b"\x00" * 8)
    assert "'damaged'" in problem(path)
    assert "CRC check failed" in problem(path)


def test_no_gzip_at_all(tmp_path: Path) -> None:
    path = tmp_path / "text.gz"
    path.write_text("1 {}\n")
    assert "'no gzip'" in problem(path)


def test_nothing_in_it(tmp_path: Path) -> None:
    empty, hollow = tmp_path / "empty.gz", tmp_path / "hollow.gz"
    empty.write_bytes(b"")
    hollow.write_bytes(gzip.compress(b""))
    assert "must hold at least one frame" in problem(empty)
    assert "must hold at least one frame" in problem(hollow)
    acks = write_capture(tmp_path / "acks.gz", [(0, '{"result":null,"id":1}')])
    assert "1 lines without market data" in problem(acks)


def test_no_such_file(tmp_path: Path) -> None:
    assert "must be readable: No such file" in problem(tmp_path / "absent.gz")
    assert "must be readable: Is a directory" in problem(tmp_path)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ('{"stream":"btcusdt@trade","data":{"e":"trade"', "cut off"),
        ('{"stream":"btcusdt@trade","data":{"e":"trade","E":1}}', "missing required field"),
        ('{"stream":"btcusdt@trade","data":{"e":"trade","E":"x","s":"B","t":1,"p":"1","q":"1","T":1,"m":true}}', "$.E"),
        ('{"question":"what is this"}', "neither market data nor an answer"),
        ("hello", "malformed"),
        ("http://x/api/v3/depth?symbol=BTCUSDT {}", "must be the depth answer of BTCUSDT"),
        ("http://x/api/v3/depth {}", "must have symbol="),
        (
            '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","U":5,"u":6,"pu":4,'
            '"b":[],"a":[]}}',
            "it is of Binance's futures, whose book changes continue by `pu`",
        ),
        ("https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT {}", "it is of Binance's futures"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, message: str, said: str) -> None:
    path = write_capture(tmp_path / "bad.gz", [trade(0, 1), (1, message), trade(2, 2)])
    text = problem(path)
    assert "line 2" in text
    assert said in text


@pytest.mark.parametrize("line", ["", "{}", "12:30 {}", "1700000000000000000", "-5 {}"])
def test_a_line_without_a_receive_time(tmp_path: Path, line: str) -> None:
    path = tmp_path / "bad.gz"
    path.write_bytes(gzip.compress(f"{line}\n".encode()))
    assert "must be `<receive time, ns since the epoch> <frame>`" in problem(path)


def test_a_snapshot_without_a_symbol_belongs_to_the_only_book(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "one.gz", [diff(0, 5, 6, [], []), snapshot(1, 5, [["1.0", "1.0"]], [])])
    assert list(read(path).snapshots) == ["BTCUSDT"]
    streamed = read(path, keep=1)
    assert [frame.symbol for frame in streamed.frames()] == ["BTCUSDT", "BTCUSDT"]


def test_a_snapshot_without_a_symbol_among_several_books_is_refused(tmp_path: Path) -> None:
    lines = [diff(0, 5, 6, [], []), diff(1, 5, 6, [], [], symbol="ETHUSDT"), snapshot(2, 5, [], [])]
    text = problem(write_capture(tmp_path / "two.gz", lines))
    assert "line 3" in text
    assert "follows 2 books" in text


def test_receive_times_that_go_back_keep_the_order_of_the_file(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "back.gz", [trade(10, 1), trade(5, 2), trade(20, 3)])
    due = [frame.due for frame in read(path).frames()]
    assert due == sorted(due)
    assert [decode(frame)[0] for frame in read(path).frames()] == [1, 2, 3]


@pytest.mark.parametrize("digits", [19, 16, 13, 10])
def test_the_unit_of_receive_times_is_told_by_their_digits(tmp_path: Path, digits: int) -> None:
    """One stamped in microseconds once replayed 8 s within 8 ms."""
    path = tmp_path / "a.gz"
    lines = [f"{str((START + at) * 1_000_000)[:digits]} {trade(at, number)[1]}" for number, at in ((1, 0), (2, 8_000))]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    first, last = (frame.due for frame in read(path).frames())
    assert last - first == 8_000_000_000
    assert first == START * 1_000_000


@pytest.mark.parametrize("digits", [9, 12, 14, 17, 20])
def test_a_receive_time_of_no_unit_is_refused(tmp_path: Path, digits: int) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(f"{'1723161255000000000000'[:digits]} {trade(0, 1)[1]}\n".encode()))
    assert f"{digits} digits are neither ns (19) nor µs (16)" in problem(path)


@pytest.mark.parametrize("wrong", [START + 86_400_000, START * 1_000_000])
def test_an_event_time_that_cannot_be_moves_no_clock(tmp_path: Path, wrong: int) -> None:
    text = trade(1, 2)[1].replace(f'"E":{START + 1}', f'"E":{wrong}')
    capture = read(write_capture(tmp_path / "a.gz", [trade(0, 1), (1, text), trade(2, 3)]))
    assert [frame.event_time for frame in capture.frames()] == [START * 1000, 0, (START + 2) * 1000]
    assert [frame.kind for frame in capture.frames()] == [Kind.TRADE, Kind.OTHER, Kind.TRADE], "REST has it not"
    assert capture.last_event_time == (START + 2) * 1000


def test_what_was_received_in_a_replay_years_later_is_as_plausible(tmp_path: Path) -> None:
    """Only what is far off among the others is wrong; at twenty times the speed the difference grows on the way."""
    years = 400_000_000_000
    wrong = trade(30, 3)[1].replace(f'"E":{START + 30}', f'"E":{START + years}')
    lines = [trade(0, 1), trade(20, 2), (30, wrong), trade(3_600_000, 4), trade(7_200_000, 5)]
    later = [(at // 20 + years, text) for at, text in lines]
    capture = read(write_capture(tmp_path / "a.gz", later))
    times = [(START + at) * 1000 for at in (0, 20, 3_600_000, 7_200_000)]
    assert [frame.event_time for frame in capture.frames()] == [*times[:2], 0, *times[2:]]


def test_trades_of_rest_are_no_messages(tmp_path: Path) -> None:
    rows = '[{"id":2,"price":"1.0","qty":"2.0","time":1,"isBuyerMaker":true}]'
    line = (5, f"http://x/api/v3/historicalTrades?symbol=BTCUSDT&fromId=2 {rows}")
    path = write_capture(tmp_path / "a.gz", [trade(0, 1), line, trade(9, 3)])
    for keep in (1 << 30, 1):
        capture = read(path, keep=keep)
        assert len(list(capture.frames())) == 2
        (past,) = capture.past
        assert [event[0] for event in PROTOCOL.events(past)] == [2]
