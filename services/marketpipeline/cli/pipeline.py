"""`marketpipeline validate` and `marketpipeline plan`: what a MarketPipeline is, without running it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from marketpipeline.plan import plan as make_plan
from marketpipeline.plan import plan_as_json, plan_as_text
from marketpipeline.selection import Selection, ask_all, choose
from marketpipeline.setup.places import places
from marketpipeline.spec import load_file

__all__ = ["example", "plan", "validate"]


@click.command()
def example() -> None:
    """Print a MarketPipeline to begin with: `marketpipeline example > my.yaml`."""
    click.echo(places().quickstart.read_text(encoding="utf-8"), nl=False)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def validate(file: Path) -> None:
    """Check the MarketPipeline in FILE; status 2 and every problem with its line when it is wrong."""
    pipeline = load_file(file)
    symbols, feeds = len(pipeline.spec.named), ", ".join(pipeline.spec.feeds)
    many = "".join(f" and {selector.text}" for selector in pipeline.spec.selectors)
    plural = "s" * (symbols != 1)
    click.echo(f"{file}: pipeline {pipeline.name} is valid: {symbols} symbol{plural}{many}, feeds {feeds}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def plan(file: Path, form: str) -> None:
    """Show the topics, processes and jobs that the MarketPipeline in FILE consists of.

    What stands for many symbols is asked of the exchanges; the status is 1 where one of them does not answer.
    """
    pipeline = load_file(file)
    listings, failed = ask_all(pipeline)
    selection = choose(pipeline.spec, listings, ())
    planned = make_plan(pipeline, selection.symbols)
    if form == "json":
        click.echo(json.dumps(plan_as_json(planned), indent=2))
    else:
        click.echo("\n".join([plan_as_text(planned), *_selectors(selection, pipeline.spec.max_symbols)]))
    for exchange, reason in failed.items():
        click.echo(f"error: what {exchange}'s selectors stand for is not known: {reason}", err=True)
    if failed:
        sys.exit(1)


def _selectors(selection: Selection, limit: int) -> list[str]:
    """What each stands for in the plan above, a line each."""
    counts = {text: "not known" if count is None else f"{count} symbols" for text, count in selection.counts.items()}
    lines = [f"  {text}: {count}" for text, count in counts.items()]
    if selection.cut:
        lines.append(f"  {selection.cut} of them are left out: maxSymbols is {limit}")
    return ["", "selectors", *lines] if lines else []
