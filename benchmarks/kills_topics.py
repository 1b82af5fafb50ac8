"""kill -9 of either process of a pair at 20 times the captures' speed: the topics are those of a run without a kill.

    python -m benchmarks.kills_topics [KILLS]

Without stream job and sinks, so that twenty kills take two minutes: `benchmarks.kills` has these, and a kill or two a
round. One run of a single process says what is right: of each trade, and of each book by its update id, all fields but
our own times and who wrote it, in order. Then rounds of a pair, of which one process is killed as soon as both are in
sync, in turn. As the stream job reads the topics, the first of two equal ids counts. Prints JSON; fails on the first
difference.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
from marketpipeline.records import Book, Heartbeat, Trade
from marketpipeline.topics import TopicKind

from benchmarks.support import machine, running_broker
from tests.conftest import wait_for
from tests.services.ingestion.processes import Processes
from tests.support import captures

__all__ = ["main"]

SPEED = "20"
SYMBOLS = ("binance:BTCUSDT", "binance:ETHUSDT")
CAPTURES = ("binance_btcusdt_20240808.gz", "binance_ethusdt_20240808.gz")
SECONDS = 120.0

Rows = dict[tuple[str, str], dict[int, Any]]
"""By symbol and kind what a topic says, by id, in order."""


class Address:
    """What `Processes` asks of a broker."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._made = 0

    def prefix(self) -> str:
        self._made += 1
        return f"kills-{self._made}"


def main(kills: int) -> None:
    found: dict[str, Any] = {"machine": machine(), "speed": SPEED, "rounds": []}
    with tempfile.TemporaryDirectory() as name, running_broker(Path(name)) as address:
        broker = Address(address)
        with _replay(broker, Path(name)) as processes:
            processes.start_ingestion(processes.settings("BTCUSDT", "ETHUSDT"))
            processes.wait_replayed(seconds=SECONDS)
            processes.stop_ingestion()
            right = _rows(processes)
        while (done := sum(len(one["back_in_sync_s"]) for one in found["rounds"])) < kills:
            with _replay(broker, Path(name)) as processes:
                found["rounds"].append(_round(processes, right, kills - done))
            print(json.dumps(found["rounds"][-1]), file=sys.stderr, flush=True)
    records = {f"{symbol} {kind}": len(rows) for (symbol, kind), rows in right.items()}
    print(json.dumps(found | {"kills": done, "records": records}, indent=1))


@contextmanager
def _replay(broker: Address, folder: Path) -> Iterator[Processes]:
    own = Path(tempfile.mkdtemp(dir=folder))
    processes = Processes(broker, own)  # type: ignore[arg-type]  # it asks for these two alone
    with ExitStack() as stack:
        stack.callback(processes.close)
        options = [option for name in CAPTURES for option in ("--replay", str(captures.find(name)))]
        processes.start_exchange(*options, "--speed", SPEED)
        yield processes


def _round(processes: Processes, right: Rows, most: int) -> dict[str, Any]:
    settings = processes.settings("BTCUSDT", "ETHUSDT", max_ahead_ms=200_000)
    starts = {processes.port: processes.start_ingestion, processes.second_port: processes.start_second}
    running: dict[int, subprocess.Popen[bytes]] = {}

    def start(*ports: int) -> None:
        for port in ports:
            running[port] = starts[port](settings)
        wait_for(lambda: all(processes.health(port).get("in_sync") for port in ports), "in sync", seconds=SECONDS)

    start(*starts)
    back: list[float] = []
    for port in cycle(starts):
        if len(back) >= most or processes.exchange()["finished"]:
            break
        running[port].kill()
        running[port].wait(30)
        began = time.monotonic()
        start(port)
        back.append(round(time.monotonic() - began, 1))
    processes.wait_replayed(seconds=SECONDS)
    for process in running.values():
        process.terminate()
        assert process.wait(60) == 0, processes.log()
    gaps = [event for event in processes.events() if event.kind == "gap"]
    if gaps:
        print(processes.log("ingestion")[-20_000:], processes.log("second")[-20_000:], sep="\n", file=sys.stderr)
        raise SystemExit(f"gaps were told: {gaps}")
    return {"back_in_sync_s": back, "gaps": 0, "books_before_first_sync": _compare(_rows(processes), right)}


def _compare(found: Rows, right: Rows) -> dict[str, int]:
    """Raises AssertionError where a record is absent, is another, or is told in another order."""
    late = {}
    for (symbol, kind), rows in right.items():
        its = found[symbol, kind]
        begin = next(iter(its)) if kind == "book" else next(iter(rows))
        wanted = {number: row for number, row in rows.items() if number >= begin}
        got = {number: row for number, row in its.items() if number >= next(iter(wanted))}
        assert list(got) == list(wanted), (symbol, kind, len(got), len(wanted), set(got) ^ set(wanted))
        wrong = [number for number, row in wanted.items() if got[number] != row]
        assert not wrong, (symbol, kind, wrong[:5], got[wrong[0]], wanted[wrong[0]])
        if kind == "book":
            late[symbol] = len(rows) - len(wanted)
    return late


def _rows(processes: Processes) -> Rows:
    """The first of each id that is newer than all before it, less what is our own."""
    rows: Rows = {}
    for symbol in SYMBOLS:
        for kind, topic, record in (("trades", TopicKind.TRADES, Trade), ("book", TopicKind.BOOK, Book)):
            newest, its = -1, rows.setdefault((symbol, kind), {})
            for _, one in processes.records(topic):
                if isinstance(one, Heartbeat) or one.symbol != symbol or not isinstance(one, record):
                    continue
                number = one.trade_id if isinstance(one, Trade) else one.update_id
                if number > newest:
                    newest = number
                    own = {"receive_time", "backfilled", "process", "previous_id", "event_time"}
                    fields = msgspec.structs.asdict(one)
                    its[number] = {name: value for name, value in fields.items() if name not in own}
    return rows


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
