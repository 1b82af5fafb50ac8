"""tardis-dev's mapper and order book as a reader: Node beside, in a folder of its own (.cache/benchmarks/tardis)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.books.trial import Best, Exchange
from benchmarks.support import ROOT

__all__ = ["PACKAGE", "Tardis", "installed"]

PACKAGE = "tardis-dev@13.35.3"
FOLDER = ROOT / ".cache" / "benchmarks" / "tardis"


def installed() -> bool:
    """Whether it is there, installed the first time where there is npm."""
    if not (FOLDER / "node_modules" / "tardis-dev").exists() and shutil.which("npm"):
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(FOLDER), PACKAGE]
        FOLDER.mkdir(parents=True, exist_ok=True)
        subprocess.run(command, check=False)
    return (FOLDER / "node_modules" / "tardis-dev").exists()


class Tardis:
    """It is given one snapshot, with the first change, and asks for no other. `errors` are levels that it removed since
    they crossed the other side."""

    def __init__(self, exchange: Exchange, symbol: str) -> None:
        self.errors = 0
        self._best: Best | None = None
        snapshot = {"stream": f"{symbol.lower()}@depthSnapshot", "generated": True, "data": exchange.snapshot()}
        script = Path(__file__).with_suffix(".cjs")
        command = ["node", str(script), str(FOLDER)]
        self._node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._say(json.dumps(snapshot))

    async def pass_until(self, seconds: float) -> None:
        """It waits for nothing."""

    async def take(self, seconds: float, frame: bytes) -> None:
        self._say(frame.decode())

    def best(self) -> Best | None:
        return self._best

    def close(self) -> None:
        self._node.communicate(timeout=10)

    def _say(self, line: str) -> None:
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        self._node.stdin.write(line + "\n")
        answer: Any
        answer, self.errors = json.loads(self._node.stdout.readline())
        self._best = (answer[0], answer[1]) if answer else None
