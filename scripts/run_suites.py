"""Run every check and test suite of the project, or those named: `make test`, `make test SUITES="lint services"`.

Cheap ones first. One line a suite with its time, followed for a test suite by pytest's own closing line; the log of
a suite that failed is printed whole at the end and all logs are kept in .cache/logs. Standard library only.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SUITES", "Outcome", "Suite", "main"]

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".cache" / "logs"
SERVICES = ROOT / ".venv" / "bin"
FLINK = ROOT / "flink-jobs" / ".venv" / "bin"
CLOSING = re.compile(r"^=+ (?=.*\d+ (?:passed|failed|skipped|error))(.*) =+$", re.MULTILINE)


@dataclass(frozen=True)
class Suite:
    """`commands` run in order, the first that fails ends the suite, as does running for more than `limit` seconds."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    limit: int


@dataclass(frozen=True)
class Outcome:
    suite: Suite
    failed: bool
    seconds: float
    log: Path
    closing: str = ""


def pytest(folder: Path, name: str, limit: int, *paths: str, options: tuple[str, ...] = ()) -> Suite:
    """A suite of tests; no test found (pytest's status 5) is a failure like any other."""
    return Suite(name, ((str(folder / "pytest"), "-p", "no:cacheprovider", *options, *paths),), limit)


def tool(name: str, *arguments: str) -> tuple[str, ...]:
    return (str(SERVICES / name), *arguments)


SUITES = (
    Suite("lint", (tool("ruff", "check", "."), tool("ruff", "format", "--check", ".")), 120),
    Suite("types", (tool("mypy"),), 600),
    Suite("imports", (("env", "PYTHONPATH=flink-jobs", *tool("lint-imports", "--no-cache", "--no-logo")),), 120),
    Suite("generated", (tool("python", "scripts/generate.py", "--check"),), 120),
    pytest(
        SERVICES, "repository", 300, "tests/repository", "tests/scripts", "tests/images", "tests/helm", "tests/toys"
    ),
    pytest(SERVICES, "services", 2400, "tests/services", "tests/support", options=("--ignore=tests/services/sinks",)),
    pytest(SERVICES, "sinks", 1500, "tests/services/sinks"),
    pytest(SERVICES, "operator", 1500, "tests/operator"),
    pytest(FLINK, "flink_jobs", 900, "tests/flink_jobs"),
    pytest(SERVICES, "e2e", 1500, "tests/e2e/test_replay.py"),
    pytest(SERVICES, "kills", 2400, "tests/e2e/test_kill.py"),
    pytest(SERVICES, "cluster", 1200, "tests/cluster"),
)


def run(suite: Suite) -> Outcome:
    """Run one suite into its log."""
    log = LOGS / f"{suite.name}.log"
    began = time.monotonic()
    failed = False
    with log.open("w") as out:
        for command in suite.commands:
            out.write(f"$ {' '.join(command)}\n")
            out.flush()
            failed = _run_command(command, out.fileno(), suite.limit) != 0
            if failed:
                break
    closings = CLOSING.findall(log.read_text(errors="replace"))
    return Outcome(suite, failed, time.monotonic() - began, log, closings[-1] if closings else "")


def _run_command(command: tuple[str, ...], out: int, limit: int) -> int:
    """Status of a command; over its limit it is interrupted, so that it can stop what it started, then killed."""
    try:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            preexec_fn=_interruptible,
        )
    except OSError as error:
        os.write(out, f"cannot start {command[0]}: {error}\n".encode())
        return 127
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        os.write(out, f"\nstill running after {limit} s: stopped\n".encode())
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return 124


def _interruptible() -> None:
    """A shell starts what runs in its background with the interrupt ignored, and a child would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def report(outcome: Outcome) -> None:
    word = "FAILED" if outcome.failed else "ok"
    print(f"{outcome.suite.name:<12}{outcome.seconds:>7.1f} s  {word}", flush=True)
    if outcome.closing:
        print(f"===== {outcome.closing} =====", flush=True)


def counts(outcomes: list[Outcome]) -> dict[str, int]:
    """Tests by result over all suites; an error in a fixture counts as failed."""
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for outcome in outcomes:
        for number, word in re.findall(r"(\d+) (passed|failed|error|skipped)", outcome.closing):
            total["failed" if word == "error" else word] += int(number)
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(suite.name for suite in SUITES)}")
    arguments = parser.parse_args()
    unknown = set(arguments.suites) - {suite.name for suite in SUITES}
    if unknown:
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(suite.name for suite in SUITES)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    outcomes = []
    for suite in SUITES:
        if not arguments.suites or suite.name in arguments.suites:
            outcomes.append(run(suite))
            report(outcomes[-1])
    failed = [outcome for outcome in outcomes if outcome.failed]
    for outcome in failed:
        print(
            f"\n----- {outcome.suite.name} ({outcome.log.relative_to(ROOT)})\n{outcome.log.read_text(errors='replace')}"
        )
    total = counts(outcomes)
    print(
        f"\n{len(outcomes) - len(failed)} of {len(outcomes)} suites ok in {(time.monotonic() - began) / 60:.1f} minutes"
    )
    print(f"total: {total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
