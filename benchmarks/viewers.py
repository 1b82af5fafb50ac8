"""How many viewers one core takes: `python -m benchmarks.viewers`, prints JSON.

`marketpipeline dashboard`, pinned to one core, over an API over real stores and a real broker, in a market of three
symbols that moves four times a second. Viewers are WebSocket clients that speak Streamlit's own protocol as its page
does: each has the page of now open, asks for it to be painted again as often as it is told to, and decodes what comes.
Each `--switch` seconds one of them chooses another symbol: `switch_ms` is from there to its candles and its book on the
page. `painted` is how often a page was painted, of what it asked for; `core` is the share of its core that the
dashboard took; `processor_ms_a_painting`, all that it did by the paintings, holds on a busy machine too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from marketpipeline.topics import TopicKind
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.support import ROOT, free_port, machine, off_first_core, percentiles
from tests.services.api.serving import Stores
from tests.services.dashboard.conftest import FEEDS, WINDOWS, Program
from tests.services.dashboard.market import SYMBOLS, Feeder, before, walks
from tests.services.sinks.stores import PostgresStore, ValkeyStore
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker
from tests.support.postgres import PASSWORD, RunningPostgres
from tests.support.valkey import RunningValkey

__all__ = ["main"]

LATE_SECONDS = 30.0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Viewers of the dashboard on one core.")
    parser.add_argument("--viewers", type=int, nargs="+", default=[1, 10, 20])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--switch", type=float, default=0.5)
    arguments = parser.parse_args()
    off_first_core()
    with tempfile.TemporaryDirectory(prefix="benchmark-viewers-") as name, running(Path(name)) as dashboard:
        process = psutil.Process(dashboard.pid)
        process.cpu_affinity([min(os.sched_getaffinity(os.getppid()))])
        found = [asyncio.run(watched(dashboard.url, process, number, arguments)) for number in arguments.viewers]
    versions = {name: version(name) for name in ("streamlit", "uvicorn", "websockets")}
    print(json.dumps({"machine": machine(), "versions": versions, **vars(arguments), "viewers": found}, indent=2))
    return 0


@contextmanager
def running(folder: Path) -> Iterator[Program]:
    """The dashboard and all that is behind it."""
    folder.chmod(0o711)
    java = shutil.which("java")
    if java is None:
        raise SystemExit("no Java to run the broker")
    postgres, valkey = RunningPostgres(folder / "postgres"), RunningValkey(folder / "valkey")
    broker = RunningBroker(java, ROOT / ".cache" / "jars" / "kafka", folder / "broker")
    started: list[Any] = []
    try:
        for server in (postgres, valkey, broker):
            server.start()
            started.append(server)
        moving = walks()
        stores = Stores(PostgresStore(postgres, postgres.create_database()), ValkeyStore(valkey))
        stores.put(*before(moving))
        topics = Topics(broker)
        topics.create(TopicKind.BOOK)
        asked = {"symbols": SYMBOLS, "windows": WINDOWS, "feeds": FEEDS}
        http = {"host": "127.0.0.1", "port": free_port()}
        settings = stores.settings(**asked, kafka=topics.kafka, topic_prefix=topics.prefix, http=http).model_dump(
            mode="json"
        )
        for store in ("timescale", "redis"):
            settings["stores"][store]["password"] = PASSWORD
        api = Program("api", settings, folder)
        http = {"host": "127.0.0.1", "port": free_port()}
        dashboard = Program("dashboard", {"pipeline": "crypto", "http": http, "api": {"url": api.url}, **asked}, folder)
        feeder = Feeder(topics, moving)
        for each in (api, feeder, dashboard):
            each.start()
            started.append(each)
        yield dashboard
    finally:
        for each in reversed(started):
            each.stop()


async def watched(url: str, process: psutil.Process, number: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """One round."""
    viewers = [Viewer(f"{url.replace('http', 'ws', 1)}/_stcore/stream") for _ in range(number)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(viewer.run()) for viewer in viewers]
        await asyncio.wait_for(asyncio.gather(*(viewer.shown.wait() for viewer in viewers)), LATE_SECONDS)
        await asyncio.sleep(2.0)
        began, used = time.monotonic(), sum(process.cpu_times()[:2])
        counts = [(viewer.painted, viewer.asked) for viewer in viewers]
        switches = []
        while time.monotonic() - began < arguments.seconds:
            switches.append(await random.choice(viewers).switch())
            await asyncio.sleep(arguments.switch)
        lasted = time.monotonic() - began
        share = (sum(process.cpu_times()[:2]) - used) / lasted
        painted = sum(viewer.painted - before for viewer, (before, _) in zip(viewers, counts, strict=True))
        asked = sum(viewer.asked - before for viewer, (_, before) in zip(viewers, counts, strict=True))
        for task in tasks:
            task.cancel()
    return {
        "viewers": number,
        "core": round(share, 2),
        "processor_ms_a_painting": round(share * lasted / max(1, painted) * 1e3, 1),
        "painted": round(painted / max(1, asked), 2),
        "paintings_a_second_each": round(painted / lasted / number, 2),
        "switches": len(switches),
        "switch_ms": percentiles(switches) | {"most": round(max(switches) * 1e3, 1)},
        "memory_mb": process.memory_info().rss >> 20,
    }


class Viewer:
    """A page of now that somebody has open."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._symbol, self._pills = SYMBOLS[0], ""
        self._again: dict[str, float] = {}
        self._socket: ClientConnection | None = None
        self._seen = {"candles": "", "depth": ""}
        self.shown = asyncio.Event()
        self.asked = self.painted = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        async with connect(self._url, max_size=None, compression=None, subprotocols=["streamlit"]) as self._socket:  # type: ignore[list-item]
            await self._ask()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._paint_again())
                async for data in self._socket:
                    message = ForwardMsg()
                    message.ParseFromString(data)
                    self._take(message)

    async def switch(self) -> float:
        """Choose another symbol; the seconds until it is on the page."""
        self._symbol = random.choice([symbol for symbol in SYMBOLS if symbol != self._symbol])
        self.shown.clear()
        began = time.monotonic()
        await self._ask()
        await asyncio.wait_for(self.shown.wait(), LATE_SECONDS)
        return time.monotonic() - began

    async def _ask(self, fragment: str = "") -> None:
        message = BackMsg()
        asked = message.rerun_script
        asked.query_string = ""
        asked.fragment_id, asked.is_auto_rerun = fragment, bool(fragment)
        if self._pills:
            state = asked.widget_states.widgets.add(id=self._pills)
            state.string_array_value.data.append(self._symbol)
        assert self._socket is not None
        await self._socket.send(message.SerializeToString())

    async def _paint_again(self) -> None:
        """As the page's own timer does, which knows one interval here: the page of now has one part."""
        while True:
            await asyncio.sleep(next(iter(self._again.values()), 0.1))
            for fragment in list(self._again)[-1:]:
                self.asked += 1
                await self._ask(fragment)

    def _take(self, message: ForwardMsg) -> None:
        match message.WhichOneof("type"):
            case "auto_rerun":
                self._again = {message.auto_rerun.fragment_id: message.auto_rerun.interval}
            case "script_finished":
                self.painted += message.script_finished == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY
            case "delta":
                element = message.delta.new_element
                if element.WhichOneof("type") == "button_group" and element.button_group.label == "Symbol":
                    self._pills = element.button_group.id
                text = str(element) if element.WhichOneof("type") else ""
                for part, words in (("candles", f"Candles of {self._symbol}"), ("depth", f"book of {self._symbol}")):
                    if words in text:
                        self._seen[part] = self._symbol
                if set(self._seen.values()) == {self._symbol}:
                    self.shown.set()


if __name__ == "__main__":
    sys.exit(main())
