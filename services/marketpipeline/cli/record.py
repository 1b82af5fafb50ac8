"""`marketpipeline record`: write what a live exchange sends to a capture that can be replayed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from marketpipeline.simulator.recording.main import record as run_recording
from marketpipeline.simulator.recording.recorder import Counts
from marketpipeline.simulator.recording.writer import CaptureWriter
from marketpipeline.spec import load_file, seconds

__all__ = ["record"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Capture to write, e.g. btc.gz; a new file."
)
@click.option("--for", "duration", help="How long, e.g. 90s or 10m; until Ctrl-C without it.")
@click.option("--exchange", "url", help="Record from this address instead of the real exchange's.")
def record(file: Path, out: Path, duration: str | None, url: str | None) -> None:
    """Record the symbols and feeds of the MarketPipeline in FILE as they come from the exchange."""
    pipeline = load_file(file)
    try:
        limit = None if duration is None else seconds(duration)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--for") from error
    writer = run_recording(pipeline, out, url, limit, _Progress())
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
