"""`marketpipeline run`: a MarketPipeline on this machine."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

import click

from marketpipeline.cli.parameters import Duration, Speed
from marketpipeline.cli.setup import be_ready
from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.local.managed_process import Failure
from marketpipeline.local.options import RunOptions
from marketpipeline.settings.local import LocalSettings
from marketpipeline.setup.places import places
from marketpipeline.setup.steps import in_use
from marketpipeline.spec import DASHBOARD_NEEDS_THE_API, MarketPipeline, load_file

__all__ = ["run"]


class Several(click.Command):
    """A command whose `--replay` takes all words up to the next option: `--replay A B` is `--replay A --replay B`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each further value."""
        spread: list[str] = []
        values = 0
        for word in args:
            if word == "--replay":
                values = 1
            elif word.startswith("-"):
                values = 0
            elif values == 1:
                values = 2
            elif values == 2:
                spread.append("--replay")
            spread.append(word)
        return super().parse_args(ctx, spread)


@click.command(cls=Several)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--exchange", default=None, metavar="simulated|live|URL", help="Where the data comes from. [simulated]")
@click.option(
    "--replay",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="CAPTURE...",
    help="Replay these captures in place of an exchange; after FILE, one or several.",
)
@click.option("--speed", type=Speed(), default=None, help="Times as fast as it was, or max. [1]")
@click.option("--for", "for_", type=Duration(), default=None, help="Stop after running for so long, e.g. 2m.")
@click.option("--until-drained", is_flag=True, help="Stop when all of the replay has reached the tables.")
@click.option("--state", type=click.Path(path_type=Path), help="State folder. [.marketpipeline/NAME]")
@click.option("--dashboard", is_flag=True, help="Open the dashboard too, as `dashboard.enabled` does.")
@click.option("--no-ui", is_flag=True, help="Lines of events in place of the screen.")
@click.option("--screenshot", type=click.Path(path_type=Path), hidden=True, help="Write the last screen as SVG.")
@click.pass_context
def run(
    ctx: click.Context,
    file: Path | None,
    exchange: str | None,
    replay: tuple[Path, ...],
    speed: float | None,
    for_: float | None,
    until_drained: bool,
    state: Path | None,
    dashboard: bool,
    no_ui: bool,
    screenshot: Path | None,
) -> None:
    """Run the MarketPipeline in FILE on this machine, without Docker.

    It starts a broker, a stream job, the stores, the services and (unless told otherwise) a simulated exchange, and
    shows what they do. Ctrl-C stops all of it in order; the state folder keeps the data for the next run.

    Without FILE it is the pipeline that `marketpipeline example` prints. What is not installed yet is, the first time.
    """
    speed_given = ctx.get_parameter_source("speed") is click.core.ParameterSource.COMMANDLINE
    options = RunOptions(
        exchange=exchange or "simulated",
        replay=replay,
        speed=speed if speed_given else 1.0,
        seconds=for_,
        until_drained=until_drained,
        state=state,
        ui=not no_ui,
        screenshot=screenshot,
    )
    _check(options, file_given=file is not None, exchange_given=exchange is not None, speed_given=speed_given)
    source = file or places().quickstart
    pipeline = _with_dashboard(load_file(source)) if dashboard else load_file(source)
    be_ready(pipeline)
    from marketpipeline.local.main import run as run_pipeline  # what it imports may have been installed just now

    try:
        with in_use(places()) if LocalSettings().setup else nullcontext():
            status = run_pipeline(pipeline, str(source), options)
        sys.exit(status)
    except Failure as failure:
        if not failure.invalid_input:
            raise
        click.echo(f"error: {failure}", err=True)
        sys.exit(2)


def _with_dashboard(pipeline: MarketPipeline) -> MarketPipeline:
    """The pipeline with a dashboard. Raises InvalidInput for one that has no API."""
    spec = pipeline.spec
    if not spec.api.enabled:
        raise InvalidInput("run", [Problem("--dashboard", True, DASHBOARD_NEEDS_THE_API)])
    opened = spec.dashboard.model_copy(update={"enabled": True})
    return pipeline.model_copy(update={"spec": spec.model_copy(update={"dashboard": opened})})


def _check(options: RunOptions, *, file_given: bool, exchange_given: bool, speed_given: bool) -> None:
    """Options that do not go together. Raises InvalidInput with all of them."""
    problems = []
    if options.replay and exchange_given:
        problems.append(Problem("--exchange", options.exchange, "must be absent with --replay, which is an exchange"))
    if options.replay and not file_given:
        problems.append(Problem("FILE", None, "must be named before --replay, which takes all words after it"))
    if speed_given and not options.replay:
        problems.append(Problem("--speed", options.speed or "max", "is the speed of a --replay; name a capture"))
    if options.until_drained and not options.replay:
        problems.append(Problem("--until-drained", True, "needs a --replay; an exchange has no end (see --for)"))
    if options.until_drained and options.seconds is not None:
        problems.append(Problem("--for", f"{options.seconds:g}s", "must be absent with --until-drained: name one end"))
    absent = [str(path) for path in options.replay if not path.is_file()]
    problems += [Problem("--replay", path, "must be a capture file; there is none of that name") for path in absent]
    if problems:
        raise InvalidInput("run", problems)
