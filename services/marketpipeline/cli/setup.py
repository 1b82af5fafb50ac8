"""`marketpipeline setup`: what a run needs beside this package, which the first run of a wheel installs too."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from marketpipeline.local.extras import extras_of
from marketpipeline.settings.local import LocalSettings
from marketpipeline.setup.installers import Installers
from marketpipeline.setup.places import Places, places
from marketpipeline.setup.steps import Step, carry_out, extra_steps, graph_step, run_steps, stale
from marketpipeline.setup.toolchain import SetupError, require_python
from marketpipeline.spec import MarketPipeline, load_file

__all__ = ["be_ready", "setup"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
def setup(file: Path | None) -> None:
    """Install what a run needs, and what the MarketPipeline in FILE needs beside it: Flink, a broker, a database.

    It is what the first `marketpipeline run` does by itself, for an image or a machine that is to be ready before.
    """
    here = places()
    wanted = [*_steps(load_file(file or here.quickstart), here), *([graph_step(here)] if file is None else [])]
    if not _set_up(wanted, here):
        click.echo("everything is there already")


def be_ready(pipeline: MarketPipeline) -> None:
    """Install what `pipeline` needs and is absent, and begin this command anew where its own libraries have changed.

    Raises SetupError. A checkout is set up by make, which a run leaves as it is.
    """
    if not LocalSettings().setup or (here := places()).is_checkout:
        return
    if any(step.gives == here.services for step in _set_up(_steps(pipeline, here), here)):
        os.execv(sys.executable, [sys.executable, "-P", "-m", "marketpipeline", *sys.argv[1:]])


def _steps(pipeline: MarketPipeline, here: Places) -> list[Step]:
    wanted = {extra for extras in extras_of(pipeline).values() for extra in extras}
    late = [extra for extra in Installers(here).on_demand() if extra in wanted]
    return [*run_steps(here), *extra_steps(late, here)]


def _set_up(wanted: list[Step], here: Places) -> list[Step]:
    """Do what is not done, and give that; also what another set-up has done meanwhile: our imports are old then too.

    Before anything is fetched it is said what, how much and where.
    """
    left = stale(wanted, here)
    if not left:
        return []
    require_python()
    if not here.is_checkout and sys.prefix == sys.base_prefix and not (here.services / "conda-meta").is_dir():
        raise SetupError(
            f"{sys.prefix} is the Python of the whole machine, into which nothing is installed. Make an environment:\n"
            "    python3 -m venv market && market/bin/pip install THE_WHEEL && market/bin/marketpipeline run"
        )
    if not here.is_checkout:
        click.echo(f"What a run needs is installed once, into {here.services}; to remove that folder removes it all.")
    carry_out(wanted, here)
    return left
