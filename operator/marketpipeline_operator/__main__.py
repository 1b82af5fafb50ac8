"""`python -m marketpipeline_operator [--config FILE]`: run the operator."""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # the working folder: a yaml.py in it is not the one that is meant

from pathlib import Path

import click
from marketpipeline.errors import InvalidInput

from marketpipeline_operator.main import run
from marketpipeline_operator.settings import OperatorSettings


@click.command(help="Reconcile MarketPipelines until told to stop.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as JSON; the environment overrides them.")
@click.option("--kubeconfig", help="Where the cluster is, outside of one; KUBECONFIG or the default by default.")
def main(config: Path | None, kubeconfig: str | None) -> None:
    """Load the settings and run."""
    try:
        settings = OperatorSettings.load(config)
    except InvalidInput as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    sys.exit(run(settings, kubeconfig))


if __name__ == "__main__":
    main()
