"""Run every check and test suite of the project, or those named: `make test`, `make test SUITES="lint services"`.

Cheap ones first, then long ones, and side by side what leaves processors free: much of what the suites take is waiting,
for servers to start and for time to pass. One line a suite with its time and the processor time that it took, by which
`cores` is set; for a test suite pytest's own closing line follows. A few tests that failed run once more when nothing
else does: who passes then has a bound that a busy machine breaks, and is named at the end so that it gets mended. The
log of a suite that failed is printed whole at the end and all logs are kept in .cache/logs. Standard library only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SUITES", "Outcome", "Suite", "main", "run"]

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".cache" / "logs"
SERVICES = ROOT / ".venv" / "bin"
FLINK = ROOT / "flink-jobs" / ".venv" / "bin"
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+\.py::.+?)(?: - (.*))?$", re.MULTILINE)
TESTS_FAILED = 1
"""Pytest's status when it has run all tests, and some of them failed."""
AGAIN = "-again"
MOST_AGAIN = 6
"""Failed tests of a suite that may run once more; with more of them it is not the machine."""
CLOSING = re.compile(r"^=+ (?=.*\d+ (?:passed|failed|skipped|error))(.*) =+$", re.MULTILINE)


@dataclass(frozen=True)
class Suite:
    """`commands` run in order, the first that fails ends the suite, as does running for more than `limit` seconds.

    `cores` is what it keeps busy, on the whole (its processor time by its time); one that needs more than there are
    runs alone. `paths` are the tests among the arguments of a single command, which some of them can stand in for.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    limit: int
    cores: float = 1.0
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """`busy` are seconds of processor time, of the suite and of all that it started and waited for; `tests` those that
    failed, with the reason, where all have run."""

    suite: Suite
    failed: bool
    seconds: float
    log: Path
    closing: str = ""
    busy: float = 0.0
    tests: tuple[tuple[str, str], ...] = ()


def pytest(
    folder: Path, name: str, limit: int, *paths: str, cores: float = 1.0, options: tuple[str, ...] = ()
) -> Suite:
    """A suite of tests; no test found (pytest's status 5) is a failure like any other."""
    return Suite(name, ((str(folder / "pytest"), "-p", "no:cacheprovider", *options, *paths),), limit, cores, paths)


def tool(name: str, *arguments: str) -> tuple[str, ...]:
    return (str(SERVICES / name), *arguments)


MORE_THAN_HALF = 1.2
"""Of a suite with Flink, where timing is part of what is checked: never two of them side by side."""
SUITES = (
    Suite("lint", (tool("ruff", "check", "."), tool("ruff", "format", "--check", ".")), 120),
    Suite("types", (tool("mypy"),), 600),
    Suite("imports", (("env", "PYTHONPATH=flink-jobs", *tool("lint-imports", "--no-cache", "--no-logo")),), 120),
    Suite("generated", (tool("python", "scripts/generate.py", "--check"),), 120),
    pytest(SERVICES, "repository", 600, "tests/repository", "tests/scripts", "tests/images", "tests/helm"),
    Suite("functions", (("mvn", "-q", "-B", "-ntp", "-f", "flink-jobs/java/pom.xml", "package"),), 300),
    pytest(
        SERVICES, "services", 2400, "tests/services", "tests/support", "tests/toys",
        cores=0.7, options=("--ignore=tests/services/sinks",),
    ),
    pytest(SERVICES, "operator", 2400, "tests/operator", cores=0.6),
    pytest(SERVICES, "sinks", 1500, "tests/services/sinks", cores=0.6),
    pytest(FLINK, "flink_jobs", 1500, "tests/flink_jobs", cores=MORE_THAN_HALF),
    pytest(SERVICES, "cluster", 1800, "tests/cluster", cores=0.8),
    pytest(SERVICES, "kills", 2400, "tests/e2e/test_kill.py", cores=MORE_THAN_HALF),
    pytest(SERVICES, "e2e", 1500, "tests/e2e/test_replay.py", cores=MORE_THAN_HALF),
)  # fmt: skip


class Run:
    """A suite under way, into its log. Its tests have a temporary folder of their own: pytest keeps the newest three
    runs of a folder only, and would remove those of a suite beside it."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self._log = LOGS / f"{suite.name}.log"
        self._out = self._log.open("wb")
        self._began = time.monotonic()
        self._scratch = tempfile.mkdtemp(prefix="mp-")
        self._left = list(suite.commands)
        self._stopping = False
        self._failed = False
        self._busy = 0.0
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes] | None:
        """The next command; None where it cannot be started."""
        command = self._left.pop(0)
        self._say(f"$ {' '.join(command)}\n")
        self._deadline = time.monotonic() + self.suite.limit
        try:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | {"PYTEST_DEBUG_TEMPROOT": self._scratch},
                stdin=subprocess.DEVNULL,
                stdout=self._out,
                stderr=subprocess.STDOUT,
                preexec_fn=_interruptible,
            )
        except OSError as error:
            self._say(f"cannot start {command[0]}: {error}\n")
            return None

    def poll(self) -> Outcome | None:
        """The outcome once it has ended; over its limit it is interrupted, so that it can stop what it started."""
        status = 127 if self._process is None else self._reap(self._process)
        if status is None:
            self._keep_limit()
            return None
        self._failed = self._failed or status != 0
        if self._left and not self._failed:
            self._process = self._start()
            return None
        self._out.close()
        if not self._failed:
            shutil.rmtree(self._scratch, ignore_errors=True)
        text = self._log.read_text(errors="replace")
        closings = CLOSING.findall(text)
        all_ran = status == TESTS_FAILED and not self._stopping
        tests = tuple(dict(FAILED.findall(text)).items()) if all_ran else ()
        seconds = time.monotonic() - self._began
        return Outcome(
            self.suite, self._failed, seconds, self._log, closings[-1] if closings else "", self._busy, tests
        )

    def _reap(self, process: subprocess.Popen[bytes]) -> int | None:
        """As `Popen.poll`, which does not tell what the process has used."""
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid == 0:
            return None
        self._busy += used.ru_utime + used.ru_stime
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode

    def _keep_limit(self) -> None:
        if self._process is None or time.monotonic() < self._deadline:
            return
        if self._stopping:
            self._process.kill()
            return
        self._say(f"\nstill running after {self.suite.limit} s: stopped\n")
        self._stopping = self._failed = True
        self._deadline += 60
        self._process.send_signal(signal.SIGINT)

    def _say(self, text: str) -> None:
        self._out.write(text.encode())
        self._out.flush()


def run(suites: Sequence[Suite], cores: float, done: Callable[[Outcome], None]) -> list[Outcome]:
    """Run suites, as many at a time as `cores` allow, the first that fits next; `done` is told of each that ended."""
    waiting, running, outcomes = list(suites), list[Run](), list[Outcome]()
    while waiting or running:
        for suite in list(waiting):
            busy = sum(one.suite.cores for one in running)
            if running and busy + suite.cores > cores:
                continue
            running.append(Run(suite))
            waiting.remove(suite)
        time.sleep(0.1)
        for one in list(running):
            if (outcome := one.poll()) is not None:
                running.remove(one)
                outcomes.append(outcome)
                done(outcome)
    return outcomes


def again(outcomes: Sequence[Outcome], done: Callable[[Outcome], None]) -> list[Outcome]:
    """Run the failed tests of each suite once more, one suite at a time, where all have run and they are few."""
    found = []
    for one in outcomes:
        if one.suite.paths and 0 < len(one.tests) <= MOST_AGAIN:
            command = tuple(part for part in one.suite.commands[0] if part not in one.suite.paths)
            tests = (*command, *(test for test, _ in one.tests))
            found += run([Suite(f"{one.suite.name}{AGAIN}", (tests,), one.suite.limit)], 1, done)
    return found


def _interruptible() -> None:
    """A shell starts what runs in its background with the interrupt ignored, and a child would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def report(outcome: Outcome) -> None:
    word = "FAILED" if outcome.failed else "ok"
    print(
        f"{outcome.suite.name:<12}{outcome.seconds:>7.1f} s {outcome.busy:>7.1f} s of a processor  {word}", flush=True
    )
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
    parser.add_argument(
        "--cores", type=float, default=float(os.cpu_count() or 1), help="what the suites may keep busy (default: all)"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.suites) - {suite.name for suite in SUITES}
    if unknown:
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(suite.name for suite in SUITES)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    chosen = [suite for suite in SUITES if not arguments.suites or suite.name in arguments.suites]
    outcomes = run(chosen, arguments.cores, report)
    alone = [outcome for outcome in again(outcomes, report) if not outcome.failed]
    unsteady = [outcome for outcome in outcomes if f"{outcome.suite.name}{AGAIN}" in {one.suite.name for one in alone}]
    failed = [outcome for outcome in outcomes if outcome.failed and outcome not in unsteady]
    for outcome in failed:
        print(
            f"\n----- {outcome.suite.name} ({outcome.log.relative_to(ROOT)})\n{outcome.log.read_text(errors='replace')}"
        )
    for outcome in unsteady:
        for test, reason in outcome.tests:
            print(f"\npassed only when nothing else ran: {test}\n  {reason}")
    total = counts([*outcomes, *alone])
    total["failed"] -= counts(unsteady)["failed"]
    print(
        f"\n{len(outcomes) - len(failed)} of {len(outcomes)} suites ok in {(time.monotonic() - began) / 60:.1f} minutes"
    )
    print(f"total: {total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
