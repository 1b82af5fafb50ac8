"""Run every benchmark, or those named: `python -m benchmarks latency sinks`; what each prints is kept in .cache.

Run them on a machine that does nothing else. The figures that the project claims, with the machine that they were
taken on, are in docs/benchmarks.md. Each prints JSON, `operator` lines of text.
"""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.support import ROOT

__all__ = ["ALL", "main"]

ALL = (
    "ingestion",
    "exchanges",
    "mutations",
    "stream_job",
    "growth",
    "peers",
    "latency",
    "sinks",
    "api",
    "dashboards",
    "viewers",
    "tiers",
    "wrong_books",
    "stream",
    "replay_feed",
    "operator",
    "kills",
    "kills_topics",
    "kills_anywhere",
    "start",
    "silent_streams",
)
RESULTS = ROOT / ".cache" / "benchmarks"


def main(names: list[str]) -> int:
    """Each in a process of its own, one after the other; fails when one does, after the last."""
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    RESULTS.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in names or ALL:
        began = time.monotonic()
        print(f"{name} …", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
        )
        (RESULTS / f"{name}.json").write_text(done.stdout)
        print(done.stdout, end="")
        print(f"{name} {'failed' if done.returncode else 'done'} in {time.monotonic() - began:.0f} s", flush=True)
        failed += [name] if done.returncode else []
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
