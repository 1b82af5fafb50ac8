"""How long best prices are wrong when changes of the book are lost, come twice, or in another order.

`python -m benchmarks.wrong_books [SEED]`: the two captures of Binance with one change in a hundred dropped, doubled, or
swapped with the next, or one of these at random, through ingestion, cryptofeed, ccxt and tardis-dev: seconds in which
the best bid or ask was another than in the undamaged book, in which there was none, and what each library counted
itself. Snapshots that are asked for come at once. The others are in environments of their own (.cache/benchmarks/books,
.cache/benchmarks/tardis). Prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import venv
from contextlib import closing
from pathlib import Path
from typing import Any

from marketpipeline.records import Book
from marketpipeline.topics import Feed

from benchmarks.books import tardis
from benchmarks.books.trial import DAMAGES, Exchange, judge
from benchmarks.support import ROOT, machine
from tests.services.ingestion.driver import WALL, Driver
from tests.support import captures

PACKAGES = ("cryptofeed==2.4.1", "ccxt==4.5.90")
OTHERS = ROOT / ".cache" / "benchmarks" / "books"
SCRIPT = Path(__file__).parent / "books" / "others.py"
CAPTURES = ("binance_btcusdt_20240808.gz", "binance_ethusdt_20240808.gz")


class Ours:
    """A session of ingestion, without sockets. Its best prices are those of the newest record, unless `/health` says
    that the book is not in sync."""

    def __init__(self, exchange: Exchange, symbol: str, began_us: int) -> None:
        self._exchange = exchange
        self._began = began_us
        self._driver = Driver((symbol,), (Feed.BOOK,))
        self._driver.session.exchange_clock.told(began_us, WALL)
        self._driver.start()
        (self._handler,) = self._driver.session.handlers.values()

    @property
    def errors(self) -> int:
        return int(str(self._handler.state()["resyncs"]))

    async def pass_until(self, seconds: float) -> None:
        if seconds > self._driver.now:
            self._driver.run(seconds - self._driver.now)
        self._answer()

    async def take(self, seconds: float, frame: bytes) -> None:
        self._driver.frame(frame)
        self._driver.run()
        self._answer()

    def _answer(self) -> None:
        while self._driver.gets:
            asked = self._driver.gets[0].request.path
            now = {"serverTime": (self._began + int(self._driver.now * 1e6)) // 1000}
            self._driver.answer(self._exchange.snapshot() if asked.endswith("depth") else now)
            self._driver.run()

    def best(self) -> tuple[float, float] | None:
        if not self._handler.state()["synced"] or not isinstance(book := self._handler.last, Book):
            return None
        return book.bids[0][0], book.asks[0][0]


def main(seed: int) -> None:
    logging.basicConfig(level=logging.CRITICAL)
    results: dict[str, Any] = {}
    for name in CAPTURES:
        path = captures.find(name)
        if path is None:
            raise SystemExit(f"{name} is not here")
        results[name] = {"marketpipeline": asyncio.run(_ours(path, seed))}
        if tardis.installed():
            results[name]["tardis-dev"] = {damage: asyncio.run(_tardis(path, damage, seed)) for damage in DAMAGES}
        for library in _installed():
            command = [str(OTHERS / "bin" / "python"), str(SCRIPT), library, str(path), str(seed)]
            results[name][library] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    print(
        json.dumps(
            {"machine": machine(), "packages": [*PACKAGES, tardis.PACKAGE], "seed": seed, "results": results}, indent=2
        )
    )


async def _ours(path: Path, seed: int) -> dict[str, Any]:
    symbol = path.name.split("_")[1].upper()

    async def make(exchange: Exchange) -> Ours:
        return Ours(exchange, symbol, 1_723_161_255_000_000)

    return {damage: await judge(path, damage, seed, make) for damage in DAMAGES}


async def _tardis(path: Path, damage: str, seed: int) -> dict[str, float | int]:
    opened: list[tardis.Tardis] = []

    async def make(exchange: Exchange) -> tardis.Tardis:
        opened.append(tardis.Tardis(exchange, path.name.split("_")[1].upper()))
        return opened[0]

    found = await judge(path, damage, seed, make)
    with closing(opened[0]):
        return found


def _installed() -> list[str]:
    """The libraries, in an environment that is made the first time; what does not install is left out."""
    python = OTHERS / "bin" / "python"
    if not python.exists():
        venv.create(OTHERS, with_pip=True)
    names = []
    for package in PACKAGES:
        name = package.partition("==")[0]
        found = [str(python), "-c", f"import {name}"]
        if subprocess.run(found, stderr=subprocess.DEVNULL, check=False).returncode:
            subprocess.run([python, "-m", "pip", "install", "-q", package], check=False)
        names += [] if subprocess.run(found, check=False).returncode else [name]
    return names


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
