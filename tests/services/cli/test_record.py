"""`marketpipeline record`: by time, by Ctrl-C, and with kill -9; what it wrote can be replayed each time."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from marketpipeline.cli import cli
from marketpipeline.errors import InvalidInput
from marketpipeline.local.state import StateFolder

from tests.conftest import free_port, wait_for
from tests.services.cli.test_simulator import get, started
from tests.support.tied import tied

MANIFEST = """\
apiVersion: marketpipeline.dev/v1alpha1
kind: MarketPipeline
metadata: {name: recorded}
spec: {symbols: [binance:BTCUSDT]}
"""


@pytest.fixture
def exchange() -> Iterator[str]:
    port = free_port()
    with started("--port", str(port), "--symbol", "BTCUSDT", port=port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    manifest = tmp_path / "pipeline.yaml"
    manifest.write_text(MANIFEST)
    return [sys.executable, "-m", "marketpipeline", "record", str(manifest), "--out", str(tmp_path / "a.gz")]


def replays(path: Path) -> int:
    """The frames of a capture that the exchange takes for a replay."""
    port = free_port()
    with started("--port", str(port), "--replay", str(path), port=port):
        assert get(port, "/control/status")["symbols"] == ["BTCUSDT"]
        assert len(get(port, "/api/v3/depth?symbol=BTCUSDT")["bids"]) > 20
    return len(gzip.decompress(path.read_bytes()).splitlines())


def test_for_a_time(exchange: str, command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [*command, "--exchange", exchange, "--for", "3s"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "frames" in done.stderr
    lines = replays(tmp_path / "a.gz")
    assert f"{lines} lines" in done.stdout
    again = subprocess.run([*command, "--exchange", exchange], capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 2
    assert "must be a new file" in again.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_what_was_flushed_is_there(
    exchange: str, command: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "a.gz"
    arguments = tied([*command, "--exchange", exchange])
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: path.exists() and path.stat().st_size > 2_000, "something is written")
        process.send_signal(number)
        status = process.wait(10)
    finally:
        process.kill()
        process.communicate()
    assert status == (-signal.SIGKILL if number is signal.SIGKILL else 0)
    assert replays(path) > 20


def test_a_duration_that_is_none(command: list[str]) -> None:
    done = subprocess.run([*command, "--for", "soon"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "is not a duration" in done.stderr


def test_an_exchange_that_is_not_there(command: list[str], tmp_path: Path) -> None:
    options = ["--exchange", "http://127.0.0.1:9"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "http://127.0.0.1:9 does not answer" in done.stderr
    assert not (tmp_path / "a.gz").exists()


def test_a_simulated_market_is_written_at_once_and_the_same_each_time(command: list[str], tmp_path: Path) -> None:
    options = ["--exchange", "simulated", "--for", "20s", "--start", "2026-01-31T12:00:00Z", "--seed", "3"]
    written = []
    for name in ("a.gz", "b.gz"):
        command[command.index("--out") + 1] = str(tmp_path / name)
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    assert replays(tmp_path / "a.gz") > 500


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--exchange", "simulated"], "a simulated market has no end: say how long"),
        (["--seed", "3", "--fault", "gap"], "--seed, --fault: only with --exchange simulated"),
        (["--exchange", "simulated", "--for", "3s", "--start", "2026-01-31"], "must be a time with its zone"),
        (["--exchange", "simulated", "--for", "3s", "--scenario", "wale"], "did you mean 'whale'"),
    ],
)
def test_what_cannot_be_simulated(command: list[str], tmp_path: Path, options: list[str], said: str) -> None:
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "a.gz").exists()


def test_without_a_state_the_topic_is_that_of_the_pipeline(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def refused() -> str:
        with pytest.raises(InvalidInput) as caught:
            CliRunner().invoke(cli, [*command[command.index("record") :], "--from-topic"], catch_exceptions=False)
        (problem,) = caught.value.problems
        return f"{caught.value.source}: {problem.field}: {problem.value}: {problem.expected}"

    def made(name: str, pipeline: str) -> None:
        StateFolder.open(tmp_path / ".marketpipeline" / name, pipeline, "simulated").close()

    root = "record: --state: .marketpipeline"
    assert refused().startswith(f"{root}: holds no state of recorded; name")
    made("other", "other")
    assert refused().startswith(f"{root}: holds no state of recorded, only of other; name")
    made("recorded-live", "recorded")
    assert "/.marketpipeline/recorded-live: holds nothing of a broker" in refused()
    made("recorded-replay", "recorded")
    one_of = ".marketpipeline/recorded-live, .marketpipeline/recorded-replay"
    assert refused() == f"record: --state: None: must name one of {one_of}"
    made("recorded", "recorded")
    assert "/.marketpipeline/recorded: holds nothing of a broker" in refused()
