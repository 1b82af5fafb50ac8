"""Two processes that read the same, as in a handover or as a pair: whichever ends, nothing is missing."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from marketpipeline.records import Book, Heartbeat, RawFrame, Trade
from marketpipeline.settings import KafkaSettings
from marketpipeline.simulator.captures import load
from marketpipeline.simulator.events import BookDiff, BookSnapshot
from marketpipeline.simulator.events import Trade as TradeEvent
from marketpipeline.simulator.protocols.binance import PROTOCOL
from marketpipeline.simulator.recording.from_topic import TopicSpan, record_topic
from marketpipeline.topics import Feed, TopicKind

from tests.conftest import wait_for
from tests.services.ingestion import oracle
from tests.services.ingestion.processes import Processes

BTC, ETH = "binance:BTCUSDT", "binance:ETHUSDT"


@pytest.fixture
def files(capture: Callable[[str], Path]) -> dict[str, Path]:
    return {symbol: capture(f"binance_{symbol[8:].lower()}_20240808.gz") for symbol in (BTC, ETH)}


def replay(processes: Processes, files: dict[str, Path], speed: str) -> None:
    options = [option for path in files.values() for option in ("--replay", str(path))]
    processes.start_exchange(*options, "--speed", speed)


def check_whole(processes: Processes, files: dict[str, Path]) -> None:
    """As the stream job reads it, by what comes first: every trade and, from the first sync on, every change, in order.

    No gap is told, and no heartbeat promised what came first after it.
    """
    events = processes.events()
    assert [event for event in events if event.kind == "gap"] == []
    assert all("/" in event.process for event in events), events
    for symbol, path in files.items():
        captured = oracle.read(path)
        ids = list(dict.fromkeys(trade.trade_id for trade in processes.trades(symbol)))
        assert ids == list(captured.trades)
        newest, books = 0, []
        for book in processes.books(symbol):
            if book.update_id > newest:
                newest = book.update_id
                books.append(book.update_id)
        changes = [last for _, last in captured.changes if last >= books[0]]
        assert books == changes
        assert len(changes) > 0.9 * len(captured.changes)
    for kind in (TopicKind.TRADES, TopicKind.BOOK):
        promised: dict[str, int] = {}
        seen: set[tuple[str, int]] = set()
        begins: dict[str, int] = {}
        for _, record in processes.records(kind):
            if isinstance(record, Heartbeat):
                promised[record.symbol] = max(record.event_time, promised.get(record.symbol, 0))
            elif isinstance(record, Trade | Book):
                time = record.trade_time if isinstance(record, Trade) else record.event_time or 0
                number = record.trade_id if isinstance(record, Trade) else record.update_id
                if number < begins.setdefault(record.symbol, number):
                    continue  # both began at once, and the other a little further back
                assert (record.symbol, number) in seen or time > promised.get(record.symbol, 0), record
                seen.add((record.symbol, number))


def check_raw(processes: Processes, files: dict[str, Path], kills: int) -> None:
    """What both kept is one capture: each message once, in the order of the exchange, and the books' snapshots."""
    frames = [record for _, record in processes.records(TopicKind.RAW) if isinstance(record, RawFrame)]
    assert len({frame.connection for frame in frames if not frame.request}) == 3 + kills
    places = [(frame.connection, frame.sequence) for frame in frames]
    assert len(set(places)) == len(places)
    out = processes.folder / "raw.gz"
    kafka = KafkaSettings(bootstrap_servers=processes.broker.address)
    (part,) = record_topic(kafka, processes.prefix, TopicSpan(["binance"]), out, lambda count: None)
    assert part.doubles
    capture = load(out, (PROTOCOL.read, PROTOCOL.read_rest), 1 << 30)
    told = [(frame.stream, event) for frame in capture.frames() for event in PROTOCOL.events(frame)]
    assert sum(isinstance(event, BookSnapshot) for _, event in told) >= 2 * (3 + kills)
    for symbol, path in files.items():
        captured, name = oracle.read(path), symbol.partition(":")[2].lower()
        its = [event for stream, event in told if stream.startswith(f"{name}@")]
        assert [event.trade_id for event in its if isinstance(event, TradeEvent)] == list(captured.trades)
        changes = [event.last_id for event in its if isinstance(event, BookDiff)]
        assert changes == [last for _, last in captured.changes]


def test_of_two_processes_either_may_be_stopped_or_killed(processes: Processes, files: dict[str, Path]) -> None:
    """The first gives way to the second and comes back; then they are killed in turn.

    The exchange goes on meanwhile, but until the first kill so slowly that there is one on a slow machine too.
    """
    replay(processes, files, "1")
    settings = processes.settings("BTCUSDT", "ETHUSDT", feeds=(Feed.BOOK, Feed.TRADES, Feed.RAW))
    starts = {processes.port: processes.start_ingestion, processes.second_port: processes.start_second}
    running: dict[int, subprocess.Popen[bytes]] = {}

    def wait_in_sync(port: int) -> None:
        wait_for(lambda: processes.health(port).get("in_sync"), "it is in sync", seconds=60)

    def start(port: int) -> None:
        running[port] = starts[port](settings)
        wait_in_sync(port)

    def end(port: int, number: signal.Signals, status: int) -> None:
        running[port].send_signal(number)
        assert running[port].wait(30) == status, processes.log()

    first, second = starts
    for port in starts:
        running[port] = starts[port](settings)
    for port in starts:
        wait_in_sync(port)
    end(first, signal.SIGTERM, 0)
    start(first)
    end(second, signal.SIGKILL, -signal.SIGKILL)
    start(second)
    processes.change_speed(10)
    kills = 1
    while not processes.exchange()["finished"] and kills < 4:
        port = (second, first)[kills % 2]
        end(port, signal.SIGKILL, -signal.SIGKILL)
        start(port)
        kills += 1
    processes.wait_replayed()
    for port in starts:
        end(port, signal.SIGTERM, 0)
    check_whole(processes, files)
    check_raw(processes, files, kills)
    said = [(event.kind, event.process) for event in processes.events(BTC) if event.kind in ("joined", "left")]
    assert len({process for kind, process in said if kind == "joined"}) == 3 + kills
    assert len({process for kind, process in said if kind == "left"}) == 3
