"""`marketpipeline record`: write what a live exchange sends to a capture that can be replayed."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from marketpipeline.cli.parameters import Duration
from marketpipeline.simulator.recording.main import record as run_recording
from marketpipeline.simulator.recording.main import record_simulation
from marketpipeline.simulator.recording.recorder import Counts
from marketpipeline.simulator.recording.simulation import Simulation
from marketpipeline.simulator.recording.writer import CaptureWriter
from marketpipeline.spec import load_file

__all__ = ["record"]

_SIMULATED = ("seed", "start", "scenarios", "faults")
"""Options that only a simulated market has."""


class Moment(click.ParamType[Any]):
    """A time in ISO 8601, as microseconds since the epoch."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Fails for a time without its zone: it would mean another one on each machine."""
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            moment = datetime.min
        if moment.tzinfo is None or moment.year < 1971:
            self.fail(f"{value!r} must be a time with its zone, e.g. 2026-01-31T12:00:00Z", param, ctx)
        return int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Capture to write, e.g. btc.gz; a new file."
)
@click.option("--for", "duration", type=Duration(), help="How long, e.g. 90s or 10m; until Ctrl-C without it.")
@click.option(
    "--exchange",
    "address",
    help="Record from this address instead of the real exchange's; `simulated` writes a simulated market, at once.",
)
@click.option("--seed", default=1, show_default=True, help="Seed of the simulated market.")
@click.option("--start", type=Moment(), help="Time at which the simulated market starts, ISO 8601; now without it.")
@click.option("--scenario", "scenarios", multiple=True, help="Scenario of the simulated market (default: tour).")
@click.option("--fault", "faults", multiple=True, help="Fault of the simulated market's messages.")
@click.pass_context
def record(
    ctx: click.Context,
    file: Path,
    out: Path,
    duration: float | None,
    address: str | None,
    seed: int,
    start: int | None,
    scenarios: tuple[str, ...],
    faults: tuple[str, ...],
) -> None:
    """Record the symbols and feeds of the MarketPipeline in FILE as they come from the exchange."""
    pipeline = load_file(file)
    if address == "simulated":
        if duration is None:
            raise click.BadParameter("a simulated market has no end: say how long", param_hint="--for")
        began = round(time.time() * 1_000_000) if start is None else start
        writer = record_simulation(pipeline, out, Simulation(seed, began, duration, scenarios, faults))
    else:
        if given := [name for name in _SIMULATED if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]:
            options = ", ".join(f"--{name.removesuffix('s')}" for name in given)
            raise click.UsageError(f"{options}: only with --exchange simulated")
        writer = run_recording(pipeline, out, address, duration, _Progress())
    click.echo(f"{writer.path}: {writer.lines} lines, {writer.size:,} bytes")
    click.echo(f"replay it: marketpipeline simulator --replay {writer.path}")


class _Progress:
    """A line on the screen every second; in a log one every 10 seconds."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._calls = 0

    def __call__(self, counts: Counts, writer: CaptureWriter) -> None:
        screen = sys.stderr.isatty()
        if not screen and self._calls % 10:
            self._calls += 1
            return
        self._calls += 1
        lost = f", {counts.disconnects} disconnects ({counts.last_error})" if counts.disconnects else ""
        elapsed = int(time.monotonic() - self._began)
        text = f"{elapsed} s: {counts.frames} frames, {counts.snapshots} books, {writer.size:,} bytes{lost}"
        click.echo(f"\r\x1b[K{text}" if screen else text, err=True, nl=not screen)
