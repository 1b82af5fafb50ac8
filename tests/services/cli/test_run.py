"""What `marketpipeline run` makes of its arguments, up to the platform that would run."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from marketpipeline.cli import cli
from marketpipeline.errors import InvalidInput, InvalidSpec
from marketpipeline.local.managed_process import Failure
from marketpipeline.local.options import RunOptions
from marketpipeline.spec import MarketPipeline

from tests.conftest import FLINK_PYTHON, JARS, PROJECT, require

MANIFEST = str(PROJECT / "manifests" / "quickstart.yaml")
Run = Callable[..., Result]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[RunOptions]:
    """The options that the platform was given; it does nothing and ends with status 0."""
    found: list[RunOptions] = []

    def note(pipeline: Any, source: str, options: RunOptions) -> int:
        found.append(options)
        return 0

    monkeypatch.setattr("marketpipeline.local.main.run", note)
    return found


@pytest.fixture
def captures_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.gz", "b.gz", "c.gz"):
        (tmp_path / name).touch()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["run", *arguments])


def test_the_simulated_exchange_without_more(asked: list[RunOptions]) -> None:
    assert run(MANIFEST).exit_code == 0
    assert asked == [RunOptions()]


@pytest.mark.usefixtures("captures_here")
@pytest.mark.parametrize(
    "arguments",
    [
        ("--replay", "a.gz", "b.gz", "c.gz", "--speed", "max"),
        ("--speed", "max", "--replay", "a.gz", "--replay", "b.gz", "--replay", "c.gz"),
        ("--replay", "a.gz", "b.gz", "--speed", "max", "--replay", "c.gz"),
    ],
)
def test_several_captures(asked: list[RunOptions], arguments: tuple[str, ...]) -> None:
    done = run(MANIFEST, *arguments)
    assert done.exit_code == 0, done.output
    (options,) = asked
    assert options.replay == (Path("a.gz"), Path("b.gz"), Path("c.gz"))
    assert options.speed is None


def test_the_dashboard_is_opened_with_a_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[bool] = []

    def note(pipeline: MarketPipeline, source: str, options: RunOptions) -> int:
        opened.append(pipeline.spec.dashboard.enabled)
        return 0

    monkeypatch.setattr("marketpipeline.local.main.run", note)
    for words in ([], ["--dashboard"]):
        assert CliRunner().invoke(cli, ["run", MANIFEST, *words]).exit_code == 0
    assert opened == [False, True]
    text = Path(MANIFEST).read_text().replace("spec:\n", "spec:\n  api: {enabled: false}\n", 1)
    (tmp_path / "mute.yaml").write_text(text)
    refused = CliRunner().invoke(cli, ["run", str(tmp_path / "mute.yaml"), "--dashboard"])
    assert isinstance(refused.exception, InvalidInput)
    assert "--dashboard: True: dashboard.enabled needs the API" in str(refused.exception)


@pytest.mark.usefixtures("captures_here")
def test_the_file_may_come_last(asked: list[RunOptions]) -> None:
    assert run("--replay", "a.gz", "--speed", "20", MANIFEST).exit_code == 0
    assert asked[0].replay == (Path("a.gz"),)
    assert asked[0].speed == 20.0


@pytest.mark.usefixtures("captures_here")
def test_the_rest(asked: list[RunOptions]) -> None:
    assert run(MANIFEST, "--exchange", "live", "--for", "2m", "--state", "here", "--no-ui").exit_code == 0
    assert run(MANIFEST, "--replay", "a.gz", "--until-drained").exit_code == 0
    live, replay = asked
    assert (live.exchange, live.seconds, live.state, live.ui) == ("live", 120.0, Path("here"), False)
    assert (replay.speed, replay.until_drained, replay.seconds) == (1.0, True, None)


@pytest.mark.usefixtures("captures_here", "asked")
@pytest.mark.parametrize(
    ("arguments", "field", "says"),
    [
        (("--replay", "a.gz", "--exchange", "live"), "--exchange", "must be absent with --replay"),
        (("--speed", "2"), "--speed", "is the speed of a --replay"),
        (("--until-drained",), "--until-drained", "needs a --replay"),
        (("--replay", "a.gz", "--until-drained", "--for", "1m"), "--for", "must be absent with --until-drained"),
        (("--replay", "a.gz", "d.gz"), "--replay", "there is none of that name"),
    ],
)
def test_options_that_do_not_go_together(arguments: tuple[str, ...], field: str, says: str) -> None:
    error = run(MANIFEST, *arguments).exception
    assert isinstance(error, InvalidInput)
    (problem,) = error.problems
    assert problem.field == field
    assert says in problem.expected


@pytest.mark.usefixtures("captures_here", "asked")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--replay", "a.gz", "--speed", "fast"), "'fast' must be a number above 0, e.g. 20, or max"),
        (("--replay", "a.gz", "--speed", "0"), "must be a number above 0"),
        (("--replay", "a.gz", "--speed", "nan"), "must be a number above 0"),
        (("--for", "2 minutes"), "'2 minutes' is not a duration; write a whole number and ms, s, m, h or d"),
        (("--untildrained",), "--until-drained"),
    ],
)
def test_values_that_are_none(arguments: tuple[str, ...], says: str) -> None:
    done = run(MANIFEST, *arguments)
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())


@pytest.mark.usefixtures("asked")
def test_a_wrong_pipeline(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.touch()
    assert isinstance(run(str(path)).exception, InvalidSpec)


@pytest.mark.parametrize(("invalid", "status"), [(True, 2), (False, 1)])
def test_a_component_that_failed(monkeypatch: pytest.MonkeyPatch, invalid: bool, status: int) -> None:
    def fail(*_: object) -> int:
        raise Failure("exchange cannot run: a.gz: is no gzip", invalid_input=invalid)

    monkeypatch.setattr("marketpipeline.local.main.run", fail)
    done = run(MANIFEST)
    assert done.exit_code == status
    if invalid:
        assert "error: exchange cannot run: a.gz: is no gzip" in done.output
    else:
        assert isinstance(done.exception, Failure)


class TestTheMachine:
    """Refusals of the platform itself, before anything is started or written."""

    @pytest.fixture(autouse=True)
    def _set_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        require(FLINK_PYTHON.exists(), "no Flink environment: run `make setup`")
        require((JARS / "kafka").is_dir(), "no Kafka jars: run `make setup`")
        require(shutil.which("java"), "no Java")
        monkeypatch.chdir(tmp_path)

    def refused(self, path: str = MANIFEST, *arguments: str) -> str:
        done = run(path, "--no-ui", *arguments)
        assert isinstance(done.exception, InvalidInput), done.output
        assert not Path(".marketpipeline").exists()
        return str(done.exception)

    def test_a_port_in_use(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            manifest = tmp_path / "p.yaml"
            manifest.write_text(Path(MANIFEST).read_text() + f"  api: {{port: {port}}}\n")
            assert f"{manifest}:\n  spec.api.port: {port}: is in use" in self.refused(str(manifest))

    def test_no_java(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("JAVA_HOME", raising=False)
        assert "java: '(absent)': Java 17 or newer is needed" in self.refused()

    def test_no_flink(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MARKETPIPELINE_FLINK_PYTHON", "/nowhere/python")
        assert "flink_python: '/nowhere/python': must be the Python of the stream job's environment" in self.refused()

    def test_no_broker(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("MARKETPIPELINE_KAFKA_JARS", str(tmp_path))
        assert "must be the folder of Kafka's jars" in self.refused()

    def test_suspended(self, tmp_path: Path) -> None:
        manifest = tmp_path / "p.yaml"
        manifest.write_text(Path(MANIFEST).read_text() + "  suspend: true\n")
        assert "spec.suspend: True: must be false" in self.refused(str(manifest))


def test_a_replay_that_has_taken_the_file_too_is_refused() -> None:
    done = CliRunner().invoke(cli, ["run", "--replay", "a.gz", "my.yaml"])
    assert isinstance(done.exception, InvalidInput)
    assert "FILE: None: must be named before --replay" in str(done.exception)
