"""The group of all commands."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import click

from marketpipeline import __version__
from marketpipeline.console import run_commands
from marketpipeline.errors import MarketPipelineError
from marketpipeline.registry import resolve

__all__ = ["Entry", "cli", "commands", "main"]


class Entry(NamedTuple):
    """Where a command is (`module:attribute`), what it does in one line, the extra it needs, and its section.

    One without a place is made from the program of a plan of its name.
    """

    target: str | None
    summary: str
    extra: str | None = None
    section: str = "Commands"


_COMPONENTS = "Components of a pipeline (started by a platform)"

_OWN = MappingProxyType(
    {
        "validate": Entry("marketpipeline.cli.pipeline:validate", "Check a MarketPipeline."),
        "plan": Entry("marketpipeline.cli.pipeline:plan", "Show everything that a MarketPipeline consists of."),
        "run": Entry("marketpipeline.cli.run:run", "Run a MarketPipeline on this machine.", "local"),
        "setup": Entry("marketpipeline.cli.setup:setup", "Install what a run needs; the first run does it too."),
        "example": Entry("marketpipeline.cli.pipeline:example", "Print a MarketPipeline to begin with."),
        "apply": Entry("marketpipeline.cli.apply:apply", "Change what runs on this machine.", "local"),
        "query": Entry("marketpipeline.cli.query:query", "Read what a run has stored.", "local"),
        "archive": Entry("marketpipeline.cli.tiers:archive", "Move days from the database to the archive.", "tiers"),
        "restore": Entry("marketpipeline.cli.tiers:restore", "Bring days back from the archive.", "tiers"),
        "simulator": Entry(
            "marketpipeline.cli.simulator:simulator", "Serve an exchange, simulated or replayed.", "simulator"
        ),
        "record": Entry("marketpipeline.cli.record:record", "Write what an exchange sends to a capture.", "simulator"),
    }
)


@cache
def commands() -> Mapping[str, Entry]:
    """Every command by its name: those that people call, then one for each program of a plan."""
    from marketpipeline.cli.components import summaries

    components = {name: Entry(None, text, extra, _COMPONENTS) for name, (text, extra) in summaries().items()}
    return MappingProxyType(dict(_OWN) | components)


class MissingExtra(MarketPipelineError):
    """A library that a command needs is not installed."""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called, and lists them by section."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of `commands`."""
        return list(commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now. Raises MissingExtra where a library of it is absent."""
        entry = _OWN.get(cmd_name) or commands().get(cmd_name)
        if entry is None:
            return None
        try:
            command = resolve(entry.target) if entry.target else _component(cmd_name)
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, without importing anything."""
        for section in dict.fromkeys(entry.section for entry in commands().values()):
            with formatter.section(section):
                formatter.write_dl(
                    [(name, entry.summary) for name, entry in commands().items() if entry.section == section]
                )


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Market data pipelines as one resource: from an exchange's wire to a query."""


def _component(name: str) -> click.Command:
    from marketpipeline.cli.components import command_of

    return command_of(name)


def _missing(error: ModuleNotFoundError) -> MissingExtra:
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    entry = commands().get(command)
    extra = entry.extra if entry else None
    if extra is None or (error.name or "").partition(".")[0] == "marketpipeline":
        raise error
    return MissingExtra(
        f"`marketpipeline {command}` needs {error.name}, which is not installed: pip install 'marketpipeline[{extra}]'"
    )


def main() -> None:
    """Run the command line and end the process."""
    run_commands(cli, missing=_missing)
