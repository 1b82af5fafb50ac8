"""The runner of suites: what counts as failed, and what it prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import run_suites
from run_suites import Outcome, Suite

from tests.conftest import PROJECT


def suite(tmp_path: Path, text: str, limit: int = 60) -> Suite:
    test = tmp_path / "test_it.py"
    test.write_text(text)
    command = (sys.executable, "-m", "pytest", f"--rootdir={tmp_path}", "-c", "/dev/null", str(test))
    return Suite("it", (command,), limit, paths=(str(test),))


def outcome_of(one: Suite) -> Outcome:
    (outcome,) = run_suites.run([one], 2, lambda _: None)
    return outcome


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_suites, "LOGS", tmp_path)


def test_a_suite_that_passes_gives_pytests_closing_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = outcome_of(suite(tmp_path, "def test_a(): pass\ndef test_b(): pass\n"))
    run_suites.report(outcome)
    assert not outcome.failed
    printed = capsys.readouterr().out
    assert "ok" in printed
    assert "===== 2 passed in " in printed
    assert run_suites.counts([outcome, outcome]) == {"passed": 4, "failed": 0, "skipped": 0}


def test_no_test_at_all_is_a_failure(tmp_path: Path) -> None:
    assert outcome_of(suite(tmp_path, "")).failed


def test_a_failing_test_and_a_broken_fixture_both_count(tmp_path: Path) -> None:
    text = "import pytest\n@pytest.fixture\ndef f(): 1/0\ndef test_a(f): pass\ndef test_b(): assert 0\n"
    outcome = outcome_of(suite(tmp_path, text))
    assert outcome.failed
    assert run_suites.counts([outcome])["failed"] == 2


def test_a_few_that_failed_run_once_more_alone_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_suites, "ROOT", tmp_path)
    text = "import pathlib\nseen = pathlib.Path('seen')\n"
    text += "def test_a(): assert seen.exists() or seen.write_text(''), 'too late'\ndef test_b(): pass\n"
    outcome = outcome_of(suite(tmp_path, text))
    assert outcome.failed
    assert [test for test, _ in outcome.tests] == ["test_it.py::test_a"]
    assert "too late" in outcome.tests[0][1]
    (alone,) = run_suites.again([outcome], lambda _: None)
    assert not alone.failed
    assert alone.closing.startswith("1 passed")


def test_what_fails_again_or_fails_in_numbers_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_suites, "ROOT", tmp_path)
    outcome = outcome_of(suite(tmp_path, "def test_a(): assert 0\ndef test_b(): pass\n"))
    (alone,) = run_suites.again([outcome], lambda _: None)
    assert alone.failed
    many = "import pytest\n@pytest.mark.parametrize('n', range(7))\ndef test_a(n): assert 0\n"
    assert run_suites.again([outcome_of(suite(tmp_path, many))], lambda _: None) == []


def test_a_suite_over_its_limit_is_interrupted_and_failed(tmp_path: Path) -> None:
    outcome = outcome_of(suite(tmp_path, "import time\ndef test_a(): time.sleep(60)\n", limit=3))
    assert outcome.failed
    assert outcome.tests == (), "others have not run at all"
    assert "still running after 3 s" in outcome.log.read_text()
    assert outcome.seconds < 30


def test_a_tool_that_is_absent_is_a_failure(tmp_path: Path) -> None:
    outcome = outcome_of(Suite("it", ((str(tmp_path / "absent"),),), 10))
    assert outcome.failed
    assert "cannot start" in outcome.log.read_text()


def test_an_unknown_suite_is_named(tmp_path: Path) -> None:
    command = [sys.executable, str(PROJECT / "scripts" / "run_suites.py"), "lnit"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no suite lnit" in done.stderr
    assert "lint" in done.stderr


def sleeper(name: str, seconds: float, cores: float) -> Suite:
    return Suite(name, ((sys.executable, "-c", f"import time; time.sleep({seconds})"),), 30, cores)


def test_what_leaves_processors_free_runs_side_by_side_and_what_needs_all_runs_alone() -> None:
    suites = [sleeper("a", 1.5, 0.7), sleeper("b", 1, 0.7), sleeper("c", 0.2, 0.7), sleeper("alone", 0.1, 64)]
    ended: list[str] = []
    outcomes = run_suites.run(suites, 2, lambda outcome: ended.append(outcome.suite.name))
    assert ended == ["b", "a", "c", "alone"] or ended == ["b", "c", "a", "alone"]
    assert not any(outcome.failed for outcome in outcomes)


def test_suites_side_by_side_do_not_share_a_temporary_folder(tmp_path: Path) -> None:
    text = "def test_it(tmp_path):\n    open({out!r}, 'w').write(str(tmp_path))\n"
    outs = [tmp_path / name for name in ("one", "two")]
    suites = []
    for out in outs:
        folder = tmp_path / f"suite-{out.name}"
        folder.mkdir()
        suites.append(suite(folder, text.format(out=str(out))))
    run_suites.run(suites, 2, lambda _: None)
    roots = {Path(out.read_text()).parts[:3] for out in outs}
    assert len(roots) == 2
