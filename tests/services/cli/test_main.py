"""The command as a person meets it: help, statuses, errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import click
import pytest
from marketpipeline.cli.main import cli, commands

from tests.conftest import PROJECT


def marketpipeline(*arguments: str, python: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(python or ("-m", "marketpipeline")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=PROJECT)


def test_help_lists_every_command_with_the_components_apart() -> None:
    done = marketpipeline("--help")
    assert done.returncode == 0
    commands, _, components = done.stdout.partition("Components of a pipeline")
    for name in ("validate", "plan", "run", "query", "simulator", "record"):
        assert f"\n  {name} " in commands
    for name in ("ingestion", "sink-timescale", "sink-redis", "api", "maintenance", "staleness-check"):
        assert f"\n  {name} " in components


@pytest.mark.parametrize("name", commands())
def test_every_command_has_its_help(name: str) -> None:
    context = click.Context(cli)
    command = cli.get_command(context, name)
    assert command is not None
    assert command.get_help(click.Context(command, info_name=name)).startswith("Usage: ")


def test_listing_the_commands_imports_none_of_them() -> None:
    program = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from marketpipeline.cli import cli\n"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0\n"
        "print([name for name in ('confluent_kafka', 'psycopg', 'fastapi', 'rich', 'picows') if name in sys.modules])\n"
    )
    assert marketpipeline(python=("-c", program)).stdout == "[]\n"


def test_version() -> None:
    assert marketpipeline("--version").stdout.split()[-1].count(".") == 2


def test_a_command_that_is_none() -> None:
    done = marketpipeline("runn")
    assert done.returncode == 2
    assert "No such command 'runn'" in done.stderr


def test_wrong_input_is_status_2_without_a_traceback() -> None:
    done = marketpipeline("validate", "no-such-file.yaml")
    assert done.returncode == 2
    assert done.stderr == (
        "error: no-such-file.yaml:\n  file: 'no-such-file.yaml': must be readable: No such file or directory\n"
    )


def test_wrong_settings_name_the_field() -> None:
    done = marketpipeline("api", "--config", "manifests/quickstart.yaml")
    assert done.returncode == 2
    assert "must be readable JSON" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "library", "extra"),
    [
        ("ingestion", "picows", "ingestion"),
        ("run", "rich", "local"),
        ("simulator", "aiohttp", "simulator"),
        ("api", "fastapi", "api-image"),
        ("sink-redis", "redis", "redis"),
    ],
)
def test_an_absent_library_names_the_extra(command: str, library: str, extra: str) -> None:
    """As if it were not installed: a module that is None in sys.modules cannot be imported."""
    settings = {
        "run": ["manifests/quickstart.yaml"],
        "simulator": ["--port", "0"],
    }.get(command, ["--config", "tests/services/cli/settings-of-nothing.json"])
    program = (
        f"import sys; sys.modules[{library!r}] = None; sys.argv = ['marketpipeline', {command!r}, *{settings!r}]\n"
        "from marketpipeline.settings import Settings\n"
        "Settings.load = classmethod(lambda cls, path: None)\n"
        "from marketpipeline.cli import main; main()\n"
    )
    done = marketpipeline(python=("-c", program))
    assert done.returncode == 1, done.stderr
    assert f"pip install 'marketpipeline[{extra}]'" in done.stderr, done.stderr
    assert f"needs {library}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bug_is_not_hidden_as_an_absent_library() -> None:
    program = (
        "import sys; sys.modules['marketpipeline.plan'] = None; sys.argv = ['marketpipeline', 'plan', 'x']\n"
        "from marketpipeline.cli import main; main()\n"
    )
    done = marketpipeline(python=("-c", program))
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_interrupted_is_status_130() -> None:
    program = (
        "import click\n"
        "from marketpipeline.cli import cli, main\n"
        "import marketpipeline.cli.pipeline as pipeline, sys\n"
        "def interrupt(path): raise KeyboardInterrupt\n"
        "pipeline.load_file = interrupt\n"
        "sys.argv = ['marketpipeline', 'validate', 'x']\n"
        "main()\n"
    )
    done = marketpipeline(python=("-c", program))
    assert (done.returncode, done.stderr.strip()) == (130, "interrupted")


def test_a_reader_that_has_enough_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m marketpipeline plan manifests/all-feeds.yaml --format json | head -1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=PROJECT,
    )
    assert (done.stdout, done.stderr) == ("{\n", "")
