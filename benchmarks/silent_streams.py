"""A stream that is subscribed and says nothing any more: how long until it is noticed, and until it speaks again.

`python -m benchmarks.silent_streams [one|all|moved …]`: ingestion, cryptofeed and ccxt read trades of the same
simulated exchange at the same time, each with its defaults, while the exchange forgets the subscription of one symbol,
then all, and then carries one symbol's streams at another of its addresses alone, as Binance has several. The
connection stays, and is pinged. Prints JSON with the machine. Each takes two and a half minutes, most of them waiting.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from marketpipeline.ingestion import Ingestion

from benchmarks.start import ingestion_of, make_topics, simulated
from benchmarks.support import ROOT, machine, running_broker

PACKAGES = ("cryptofeed==2.4.1", "ccxt==4.5.90")
OTHERS = ROOT / ".cache" / "benchmarks" / "silence"
LONGEST = 150.0
SPOKE = 3.0
"""Seconds after the fault from which data is a sign that it is mended: what was under way has come by then."""
NAMES = ["BTCUSDT", "ETHUSDT"]
ETH = ["ethusdt@trade", "ethusdt@aggTrade"]
PHASES: dict[str, tuple[str, str, list[str]]] = {
    "one": ("one of two streams", "ETHUSDT", [f"forgotten?stream={stream}" for stream in ETH]),
    "all": ("every stream", "BTCUSDT", ["forgotten"]),
    "moved": ("one moved to another address", "ETHUSDT", [f"moved?stream={stream}&to=localhost" for stream in ETH]),
}
"""What is fired, and whose data is waited for."""


class Client:
    """What one library has said: when data of a symbol came, and when it noticed something."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.data: dict[str, float] = {}
        self.noticed: list[float] = []

    def measure(self, symbol: str, since: float) -> dict[str, Any]:
        """Seconds from `since` on; None for not yet."""
        noticed = next((at - since for at in self.noticed if at > since), None)
        back = self.data.get(symbol, 0.0) - since
        return {"noticed": _rounded(noticed), "mended": _rounded(back if back > SPOKE else None)}


def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        broker = stack.enter_context(running_broker(Path(folder)))
        port = stack.enter_context(simulated("binance", NAMES, Path(folder), scenario="calm"))
        others = [stack.enter_context(other(library, port)) for library in _installed()]
        clients = [stack.enter_context(ours(broker, port)), *others]
        for client in clients:
            _wait(partial(_reads, client), 90, f"{client.name} reads")
        result = {}
        for name in sys.argv[1:] or PHASES:
            what, symbol, faults = PHASES[name]
            result[what] = _phase(clients, port, symbol, faults)
    print(json.dumps({"machine": machine(), "packages": PACKAGES, "longest": LONGEST, "seconds": result}, indent=2))


def _reads(client: Client) -> bool:
    return len(client.data) == len(NAMES)


def _phase(clients: list[Client], port: int, symbol: str, faults: list[str]) -> dict[str, Any]:
    since = time.monotonic()
    for fault in faults:
        _fire(port, fault)
    found: dict[str, Any] = {}
    while time.monotonic() < since + LONGEST and len(found) < len(clients):
        time.sleep(0.05)
        for client in clients:
            seen = client.measure(symbol, since)
            if client.name not in found and seen["mended"] is not None:
                found[client.name] = seen
    return {client.name: found.get(client.name, client.measure(symbol, since)) for client in clients}


@contextmanager
def ours(broker: str, port: int) -> Iterator[Client]:
    """Ingestion, looked at twenty times a second."""
    make_topics(broker, "silent")
    client, ended = Client("marketpipeline"), threading.Event()
    settings = ingestion_of("binance", NAMES, "silent", broker, port, feeds=["trades"])
    settings = settings.model_copy(update={"websocket_fallbacks": [f"ws://localhost:{port}"]})
    ingestion = Ingestion(settings)

    def look() -> None:
        seen: dict[str, int] = {}
        stale = 0
        while not ended.wait(0.05):
            if (session := ingestion.session) is None:
                continue
            now = time.monotonic()
            for stream, handler in session.handlers.items():
                if handler.seen > seen.get(stream.symbol, 0):
                    seen[stream.symbol] = handler.seen
                    client.data[stream.symbol.partition(":")[2]] = now
            if session.events["stale"] > stale:
                stale = session.events["stale"]
                client.noticed.append(now)

    ingestion.start()
    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield client
    finally:
        ended.set()
        watching.join()
        ingestion.stop()


@contextmanager
def other(library: str, port: int) -> Iterator[Client]:
    """Another library in a process of its own."""
    client, script = Client(library), Path(__file__).parent / "silence" / "other_client.py"
    process = subprocess.Popen(
        [str(OTHERS / "bin" / "python"), str(script), library, str(port)], stdout=subprocess.PIPE, text=True, cwd="/"
    )

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            if "data" in said:
                client.data[said["data"]] = said["at"]
            else:
                client.noticed.append(said["at"])

    threading.Thread(target=read, daemon=True).start()
    try:
        yield client
    finally:
        process.terminate()
        process.wait(20)


def _installed() -> list[str]:
    """The libraries, in an environment that is made the first time; what does not install is left out."""
    python = OTHERS / "bin" / "python"
    if not python.exists():
        venv.create(OTHERS, with_pip=True)
    names = []
    for package in PACKAGES:
        name, found = package.partition("==")[0], [str(python), "-c", f"import {package.partition('==')[0]}"]
        if subprocess.run(found, stderr=subprocess.DEVNULL, check=False).returncode:
            subprocess.run([python, "-m", "pip", "install", "-q", package], check=False)
        names += [] if subprocess.run(found, check=False).returncode else [name]
    return names


def _fire(port: int, fault: str) -> None:
    with urlopen(Request(f"http://127.0.0.1:{port}/control/faults/{fault}", method="POST"), timeout=10):
        """Fired."""


def _wait(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


if __name__ == "__main__":
    main()
