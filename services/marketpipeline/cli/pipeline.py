"""`marketpipeline validate` and `marketpipeline plan`: what a MarketPipeline is, without running it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from marketpipeline.plan import plan as make_plan
from marketpipeline.plan import plan_as_json, plan_as_text
from marketpipeline.spec import load_file

__all__ = ["plan", "validate"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def validate(file: Path) -> None:
    """Check the MarketPipeline in FILE; status 2 and every problem with its line when it is wrong."""
    pipeline = load_file(file)
    symbols, feeds = len(pipeline.spec.symbols), ", ".join(pipeline.spec.feeds)
    click.echo(f"{file}: pipeline {pipeline.name} is valid: {symbols} symbol{'s' * (symbols != 1)}, feeds {feeds}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def plan(file: Path, form: str) -> None:
    """Show the topics, processes and jobs that the MarketPipeline in FILE consists of."""
    planned = make_plan(load_file(file))
    click.echo(plan_as_text(planned) if form == "text" else json.dumps(plan_as_json(planned), indent=2))
