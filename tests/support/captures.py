"""Captures to replay: those of real exchanges where they are present, and ones that the simulator makes from a seed.

So whoever clones the project can run every suite that replays. `marketpipeline record --exchange simulated` writes the
same lines on every machine; they are made once and kept in .cache/captures until the recipe or the simulator changes.
What is read here is the standard library only: the stream job's environment uses it too.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "ALERTS",
    "ALERTS_SYMBOLS",
    "BTC",
    "ETH",
    "GENERATED",
    "OKX",
    "OKX_SYMBOLS",
    "REAL",
    "SIMULATED",
    "SIMULATED_SYMBOLS",
    "find",
    "folder",
]

PROJECT = Path(__file__).resolve().parent.parent.parent
REAL = PROJECT.parent / "shared" / "data"
"""Recorded from real exchanges; read in place, never copied."""
GENERATED = PROJECT / ".cache" / "captures"

BTC = "binance_btcusdt_20240808.gz"
ETH = "binance_ethusdt_20240808.gz"
SIMULATED = "simulated.gz"
"""One capture of several symbols with what a wire does to its readers, of the same minutes as the real ones."""
SIMULATED_SYMBOLS = ("binance:SOLUSDT", "binance:XRPUSDT", "binance:ADAUSDT")
ALERTS = "alerts.gz"
"""One capture that every alert fires in, for as long as windows take to have a usual count."""
ALERTS_SYMBOLS = ("binance:SOLUSDT",)

OKX = "okx_20220513.gz"
"""Ten seconds of three instruments, two of them contracts; the real one has a checksum with every change of a book."""
OKX_SYMBOLS = ("okx:BTC-USDT", "okx:BTC-USD-220527", "okx:UNI-USD-SWAP")

START = "2024-08-08T23:54:15Z"
SLOW_CLOCK_NS = 1_270_000_000
"""By how much the clock of who recorded the real ones was slow: receive times are before the exchange's."""

MANIFEST = """\
apiVersion: marketpipeline.dev/v1alpha1
kind: MarketPipeline
metadata: {{name: recorded}}
spec: {{symbols: [{symbols}], feeds: [book, trades, quotes]}}
"""


@dataclass(frozen=True)
class Recipe:
    """How a capture is made: `options` are those of `marketpipeline record`."""

    symbols: tuple[str, ...]
    seconds: int
    options: tuple[str, ...]


def _scenarios(*texts: str) -> tuple[str, ...]:
    return tuple(option for text in texts for option in ("--scenario", text))


RECIPES: Mapping[str, Recipe] = {
    BTC: Recipe(("binance:BTCUSDT",), 345, ("--seed", "8")),
    ETH: Recipe(("binance:ETHUSDT",), 345, ("--seed", "9")),
    OKX: Recipe(OKX_SYMBOLS, 20, ("--seed", "10")),
    SIMULATED: Recipe(
        SIMULATED_SYMBOLS,
        200,
        (
            *("--seed", "7", "--fault", "gap:symbol=XRPUSDT,feed=book,count=12@70s"),
            *("--fault", "wrong-value:symbol=SOLUSDT,feed=book,value=ahead@75s"),
            *("--fault", "wrong-value:symbol=SOLUSDT,feed=trades,value=nanoseconds@77s"),
            *("--fault", "wrong-value:symbol=SOLUSDT,feed=quotes,value=one-sided@78s"),
            *_scenarios(
                "one-sided-book:symbol=SOLUSDT,seconds=8@8s",
                "whale:symbol=SOLUSDT@20s",
                "imbalance-flip:symbol=SOLUSDT@30s",
                "spread-blow-out:symbol=SOLUSDT@50s",
                "one-sided-book:symbol=SOLUSDT,seconds=6,factor=1.6@40s",
                "volume-burst:symbol=SOLUSDT@62s",
                "price-spike:symbol=SOLUSDT@90s",
                "price-spike:symbol=SOLUSDT,percent=-3@115s",
                "liquidity-drain:symbol=SOLUSDT@140s",
                "fat-finger:symbol=SOLUSDT,side=sell@155s",
                "whale:symbol=XRPUSDT,side=sell@110s",
                "one-sided-book:symbol=XRPUSDT,side=sell,seconds=60@185s",
                "quiet:symbol=ADAUSDT,seconds=3600,trade_every=20",
                "quiet:symbol=XRPUSDT,seconds=25,trade_every=5@60s",
            ),
        ),
    ),
    ALERTS: Recipe(
        ALERTS_SYMBOLS,
        780,
        (
            *("--seed", "11"),
            *_scenarios(
                "imbalance-flip:symbol=SOLUSDT@70s",
                "spread-blow-out:symbol=SOLUSDT@90s",
                "whale:symbol=SOLUSDT@98s",
                "liquidity-drain:symbol=SOLUSDT@140s",
                "fat-finger:symbol=SOLUSDT,side=sell@200s",
                "price-spike:symbol=SOLUSDT,percent=-3@245s",
                "volume-burst:symbol=SOLUSDT,seconds=110@308s",
                "trade-burst:symbol=SOLUSDT@605s",
            ),
        ),
    ),
}
"""By file name. The first three stand in for real captures, and only where those are absent."""


def folder() -> Path:
    """Where the captures of real exchanges are, or what stands in for them."""
    return REAL if REAL.is_dir() else GENERATED


def find(name: str) -> Path | None:
    """A capture by its file name; None where it is neither present nor one that can be made."""
    if (REAL / name).is_file():
        return REAL / name
    return _made(name) if name in RECIPES else None


@functools.cache
def _made(name: str) -> Path:
    recipe, path = RECIPES[name], GENERATED / name
    wanted = hashlib.sha256(repr(recipe).encode() + _simulator()).hexdigest()
    made_from = path.with_suffix(".from")
    if not path.is_file() or not made_from.is_file() or made_from.read_text() != wanted:
        GENERATED.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=GENERATED) as scratch:
            made = _make(recipe, Path(scratch))
            made.rename(path)
        made_from.write_text(wanted)
    return path


def _simulator() -> bytes:
    """What the lines depend on: the simulator's code."""
    code = sorted((PROJECT / "services" / "marketpipeline" / "simulator").rglob("*.py"))
    return b"".join(hashlib.sha256(path.read_bytes()).digest() for path in code)


def _make(recipe: Recipe, scratch: Path) -> Path:
    manifest, recorded, shifted = (scratch / name for name in ("pipeline.yaml", "recorded.gz", "shifted.gz"))
    manifest.write_text(MANIFEST.format(symbols=", ".join(recipe.symbols)))
    program = str(PROJECT / ".venv" / "bin" / "marketpipeline")
    options = ("--exchange", "simulated", "--start", START, "--for", f"{recipe.seconds}s", *recipe.options)
    command = [program, "record", str(manifest), "--out", str(recorded), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    parted = (line.partition(b" ") for line in gzip.decompress(recorded.read_bytes()).splitlines(keepends=True))
    lines = b"".join(b"%d %b" % (int(received) - SLOW_CLOCK_NS, rest) for received, _, rest in parted)
    shifted.write_bytes(gzip.compress(lines, mtime=0))
    return shifted
