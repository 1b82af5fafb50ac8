"""What pages name is there: each command, with the options that it has, and each test; the tutorial is followed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from follow import BLOCK
from marketpipeline.cli.main import cli, commands
from marketpipeline.console import run_commands

from tests.conftest import PROJECT

PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^(?:    |\$ )?(?:[.\w]+/bin/)?(?:marketpipeline|make) ", re.MULTILINE)


def named() -> Iterator[tuple[str, str]]:
    """The page and the command of each line of a block that begins with one."""
    for page in PAGES:
        text = page.read_text()
        for block in [found[2] for found in BLOCK.findall(text) if found[0] == "console"] + [text]:
            for line in block.splitlines():
                if (block is not text or line.startswith("    ")) and COMMAND.match(line):
                    yield page.name, re.sub(r"^\$ |^ *(?:[.\w]+/bin/)?", "", line.partition(" #")[0]).strip()


def test_every_command_that_a_page_names_is_one_with_options_that_it_has() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    lines = set(named())
    assert len(lines) > 20
    for page, line in lines:
        program, *words = shlex.split(re.sub(r"\bT\b", "2026-08-01", line).partition(" > ")[0])
        if program == "make":
            wanted = {word for word in words if "=" not in word}
            assert wanted <= targets, f"{page}: {line}"
            continue
        assert words[0] in commands(), f"{page}: {line}"
        command = cli.get_command(click.Context(cli), words[0])
        assert command is not None
        try:
            command.make_context(words[0], words[1:], parent=click.Context(cli))
        except click.ClickException as error:
            pytest.fail(f"{page}: {line}: {error.format_message()}")


def test_every_test_that_the_capability_levels_name_exists() -> None:
    text = (PROJECT / "docs" / "capability-levels.md").read_text()
    named = set(re.findall(r"`(?:tests/)?((?:\w+/)*test_\w+\.py)`", text))
    there = {str(path.relative_to(PROJECT)) for path in (PROJECT / "tests").rglob("test_*.py")}
    assert len(named) > 20
    assert [one for one in sorted(named) if not any(path.endswith(f"/{one}") for path in there)] == []


def same(printed: str, told: str) -> bool:
    """Whether a page tells what was printed: `…` stands for the rest of a line, alone for any lines."""
    parts = re.split(r"\n *…\n", told.strip())
    pattern = r"\n(?:.*\n)*?".join(".*".join(map(re.escape, part.split("…"))) for part in parts)
    return re.fullmatch(pattern, printed.strip()) is not None


def test_the_tutorial_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    followed = 0
    for kind, file, text in BLOCK.findall((PROJECT / "docs" / "tutorial.md").read_text()):
        if file:
            Path(file).write_text(text)
        first, _, told = text.partition("\n")
        if kind != "console" or not first.startswith("$ marketpipeline "):
            continue
        followed += 1
        monkeypatch.setattr("sys.argv", shlex.split(first.removeprefix("$ ")))
        with pytest.raises(SystemExit) as ended:
            run_commands(cli)
        printed = "".join(capsys.readouterr())
        assert same(printed, told), (
            f"{first} ended with {ended.value.code} and printed\n{printed}\nthe page has\n{told}"
        )
    assert followed == 3
