"""The commands of the components: each takes its settings file and runs until SIGTERM or SIGINT."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from marketpipeline.plan import Program, programs
from marketpipeline.registry import resolve

__all__ = ["command_of", "summaries"]


def summaries() -> Mapping[str, tuple[str, str]]:
    """By the name of each command: what it does in one line, and the extra that it needs."""
    return {component.value: (program.summary, program.extra) for component, program in programs().items()}


def command_of(name: str) -> click.Command:
    """The command of a component, by its name; it ends with the status that the component's program gives."""
    program: Program = next(program for component, program in programs().items() if component == name)

    @click.command(name, help=program.summary)
    @click.option("--config", required=True, type=click.Path(path_type=Path), help="Settings as JSON (see `plan`).")
    def command(config: Path) -> None:
        settings = program.settings.load(config)
        sys.exit(resolve(program.target)(settings, *program.arguments))

    return command
