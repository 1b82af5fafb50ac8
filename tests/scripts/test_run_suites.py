"""The runner of suites: what counts as failed, and what it prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import run_suites
from run_suites import Suite

from tests.conftest import PROJECT


def suite(tmp_path: Path, text: str, limit: int = 60) -> Suite:
    test = tmp_path / "test_it.py"
    test.write_text(text)
    return Suite("it", ((sys.executable, "-m", "pytest", "-c", "/dev/null", str(test)),), limit)


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_suites, "LOGS", tmp_path)


def test_a_suite_that_passes_gives_pytests_closing_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_suites.run(suite(tmp_path, "def test_a(): pass\ndef test_b(): pass\n"))
    run_suites.report(outcome)
    assert not outcome.failed
    printed = capsys.readouterr().out
    assert "ok" in printed
    assert "===== 2 passed in " in printed
    assert run_suites.counts([outcome, outcome]) == {"passed": 4, "failed": 0, "skipped": 0}


def test_no_test_at_all_is_a_failure(tmp_path: Path) -> None:
    assert run_suites.run(suite(tmp_path, "")).failed


def test_a_failing_test_and_a_broken_fixture_both_count(tmp_path: Path) -> None:
    text = "import pytest\n@pytest.fixture\ndef f(): 1/0\ndef test_a(f): pass\ndef test_b(): assert 0\n"
    outcome = run_suites.run(suite(tmp_path, text))
    assert outcome.failed
    assert run_suites.counts([outcome])["failed"] == 2


def test_a_suite_over_its_limit_is_interrupted_and_failed(tmp_path: Path) -> None:
    outcome = run_suites.run(suite(tmp_path, "import time\ndef test_a(): time.sleep(60)\n", limit=3))
    assert outcome.failed
    assert "still running after 3 s" in outcome.log.read_text()
    assert outcome.seconds < 30


def test_a_tool_that_is_absent_is_a_failure(tmp_path: Path) -> None:
    outcome = run_suites.run(Suite("it", ((str(tmp_path / "absent"),),), 10))
    assert outcome.failed
    assert "cannot start" in outcome.log.read_text()


def test_an_unknown_suite_is_named(tmp_path: Path) -> None:
    command = [sys.executable, str(PROJECT / "scripts" / "run_suites.py"), "lnit"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no suite lnit" in done.stderr
    assert "lint" in done.stderr
