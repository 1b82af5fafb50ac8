"""What pages name is there: each command, with the options that it has, and each test; the tutorial is followed."""

from __future__ import annotations

import dataclasses
import itertools
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
from tests.helm.marketpipeline_operator.support import Helm
from tests.support.tools import tool

PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
CLUSTER = re.compile(r"^(?:    )?(?:\$ )?((?:helm|kubectl) (?:.*\\\n)*.*)$", re.MULTILINE)
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


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tool("helm"), tmp_path_factory.mktemp("helm"))


def of_clusters() -> Iterator[tuple[str, list[str]]]:
    """The page and the words of each command of helm or kubectl."""
    for page in PAGES:
        for line in CLUSTER.findall(page.read_text()):
            yield page.name, shlex.split(line.replace("\\\n", " ").partition(" #")[0].partition(" | ")[0])


def test_every_chart_that_a_page_installs_renders_with_its_options(helm: Helm) -> None:
    found = {tuple(words[2:]) for _, words in of_clusters() if words[:2] == ["helm", "install"] and len(words) > 3}
    assert {words[1] for words in found} == {"helm/marketpipeline-operator", "helm/market-stack"}
    for name, chart, *options in found:
        text = re.sub(r" ?(--create-namespace|--values my-\S+|--wait)", "", shlex.join(options))
        done = helm("template", name, PROJECT / chart, *shlex.split(text))
        assert done.returncode == 0, f"{name} {chart} {text}: {done.stderr}"


def test_what_a_page_asks_a_cluster_for_is_made_by_a_chart_or_a_pipeline(helm: Helm) -> None:
    """Files that are applied, Services that are forwarded with their ports, Secrets that are read with their keys."""
    values = {"prometheus": {"enabled": True}, "pipeline": {"spec": {"dashboard": {"enabled": True}}}}
    stack = dataclasses.replace(helm, chart=PROJECT / "helm" / "market-stack").render("market-stack", **values)
    services = {
        thing["metadata"]["name"]: {port["port"] for port in thing["spec"]["ports"]}
        for thing in stack
        if thing["kind"] == "Service"
    }
    (pipeline,) = (thing["metadata"]["name"] for thing in stack if thing["kind"] == "MarketPipeline")
    for name in (pipeline, "crypto"):
        services |= {f"{name}-api": {8000}, f"{name}-dashboard": {8501}}
    secrets = {thing["metadata"]["name"]: thing["data"].keys() for thing in stack if thing["kind"] == "Secret"}
    looked = {"file": 0, "service": 0, "secret": 0}
    for page, words in of_clusters():
        for option, value in itertools.pairwise(words):
            if option in ("-f", "--filename") and not value.startswith(("my", "-")):
                looked["file"] += 1
                assert (PROJECT / value).exists(), f"{page}: {value}"
            if option.startswith("service/"):
                looked["service"] += 1
                port = int(value.partition(":")[2] or value)
                assert port in services.get(option.removeprefix("service/"), ()), f"{page}: {option} {value}"
        if "secret" in words and (path := re.search(r"--output jsonpath=\{\.data\.(\w+)", " ".join(words))):
            looked["secret"] += 1
            assert any(path[1] in keys for name, keys in secrets.items() if name in words), f"{page}: {words}"
    assert all(looked.values()), looked


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
