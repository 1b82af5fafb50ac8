"""`marketpipeline apply`: a changed MarketPipeline for a run that is on."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from marketpipeline.local.state import RunningFolder
from marketpipeline.spec import load_file

__all__ = ["apply"]

POLL_SECONDS = 0.2
TAKEN_UP_WITHIN = 60.0


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--state", type=click.Path(path_type=Path), help="State folder of the run. [.marketpipeline/NAME]")
def apply(file: Path, state: Path | None) -> None:
    """Change the run of a MarketPipeline on this machine to what FILE says.

    Only what differs is replaced. A process of ingestion is handed over: the next one is in sync before the last one
    stops, so that no message is missed; where it does not get in sync, the last one runs on. It waits until all of it
    is done; the status is 1 when it was not.
    """
    pipeline = load_file(file)
    run = RunningFolder.find(pipeline.name, state)
    name = run.ask(str(file), file.read_text(encoding="utf-8"))
    shown, deadline = 0, time.monotonic() + TAKEN_UP_WITHIN
    while True:
        told = run.changed(name)
        for line in told.get("said", [])[shown:]:
            click.echo(line)
        shown = len(told.get("said", []))
        if told.get("done") is not None:
            sys.exit(0 if told["done"] else 1)
        if not told and time.monotonic() > deadline:
            click.echo("the run has not taken it up yet: it is still starting; it will", err=True)
            sys.exit(1)
        time.sleep(POLL_SECONDS)
