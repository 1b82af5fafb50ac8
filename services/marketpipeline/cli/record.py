"""`marketpipeline record`: write what a live exchange sends to a capture that can be replayed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from marketpipeline.cli.parameters import Duration
from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.local.stored import only_folder, open_broker
from marketpipeline.readers.asking import find_symbol, read_time
from marketpipeline.settings import IngestionSettings, KafkaSettings
from marketpipeline.simulator.recording.from_topic import Part, TopicSpan, record_topic
from marketpipeline.simulator.recording.main import record as run_recording
from marketpipeline.simulator.recording.main import record_simulation
from marketpipeline.simulator.recording.recorder import Counts
from marketpipeline.simulator.recording.simulation import Simulation
from marketpipeline.simulator.recording.writer import CaptureWriter
from marketpipeline.spec import MarketPipeline, load_file
from marketpipeline.venues import split_symbol

__all__ = ["record"]

T = TypeVar("T")

_SIMULATED = ("seed", "start", "scenarios", "faults")
"""Options that only a simulated market has."""
_OF_TOPIC = ("since", "until", "symbols", "state", "config")
"""Options that only the topic has."""
_OPTION = {"scenarios": "--scenario", "faults": "--fault", "since": "--from", "until": "--to", "duration": "--for",
           "address": "--exchange"}  # fmt: skip


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
@click.option(
    "--from-topic",
    is_flag=True,
    help="Take what a pipeline with the feed `raw` has kept, at once; a file for each exchange, where it has several.",
)
@click.option("--from", "since", metavar="T", help="Beginning, included, as we received it: ISO 8601 or a number.")
@click.option("--to", "until", metavar="T", help="End, not included.")
@click.option("--symbols", metavar="A,B", help="Of these only, each as exchange:SYMBOL.")
@click.option("--state", type=click.Path(path_type=Path), help="State folder of the run. [.marketpipeline/NAME]")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Settings of a process of ingestion (see `plan`), whose broker is read in place of that of a run here.",
)
@click.pass_context
def record(ctx: click.Context, /, file: Path, out: Path, **options: Any) -> None:
    """Write the symbols and feeds of the MarketPipeline in FILE, as they come from the exchange, to a capture.

    With --from-topic it is what came already: the messages that the pipeline has kept on its topic `raw`, with the
    answers over REST that it used. A replay of that gives the same tables again.
    """
    pipeline = load_file(file)
    given = [name for name in options if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    _check(given, from_topic=options["from_topic"], simulated=options["address"] == "simulated")
    if options["from_topic"]:
        parts = _from_topic(pipeline, out, options)
    elif options["address"] == "simulated":
        if options["duration"] is None:
            raise click.BadParameter("a simulated market has no end: say how long", param_hint="--for")
        began = round(time.time() * 1_000_000) if options["start"] is None else options["start"]
        simulation = Simulation(options["seed"], began, options["duration"], options["scenarios"], options["faults"])
        parts = [_written(record_simulation(pipeline, out, simulation))]
    else:
        parts = [_written(run_recording(pipeline, out, options["address"], options["duration"], _Progress()))]
    for part in parts:
        doubles = f", {part.doubles:,} that came twice left out" if part.doubles else ""
        click.echo(f"{part.path}: {part.lines} lines, {part.size:,} bytes{doubles}")
    if len(parts) == 1:
        click.echo(f"replay it: marketpipeline simulator --replay {parts[0].path}")
    else:
        click.echo(f"replay them: marketpipeline run {file} --replay {' '.join(str(part.path) for part in parts)}")


def _check(given: Sequence[str], *, from_topic: bool, simulated: bool) -> None:
    """Raises UsageError for options of another way to record than the one that was chosen."""
    for names, chosen, says in (
        (_SIMULATED, simulated, "only with --exchange simulated"),
        (_OF_TOPIC, from_topic, "only with --from-topic"),
        (("duration", "address"), not from_topic, "not with --from-topic, which has --from and --to"),
    ):
        if not chosen and (wrong := [name for name in given if name in names]):
            raise click.UsageError(f"{', '.join(_OPTION.get(name, f'--{name}') for name in wrong)}: {says}")


def _written(writer: CaptureWriter) -> Part:
    return Part(writer.path, writer.lines, writer.size, 0)


def _from_topic(pipeline: MarketPipeline, out: Path, options: Mapping[str, Any]) -> list[Part]:
    symbols = None if options["symbols"] is None else options["symbols"].split(",")
    chosen = [_argument("--symbols", symbol, _one_of(pipeline.spec.symbols)) for symbol in symbols or []]
    exchanges = sorted({split_symbol(symbol)[0] for symbol in chosen or pipeline.spec.symbols})
    times = {name: options[name] and _argument(f"--{option}", options[name], _microseconds)
             for name, option in (("since", "from"), ("until", "to"))}  # fmt: skip
    span = TopicSpan(exchanges, chosen or None, **times)

    def progress(frames: int) -> None:
        click.echo(f"{frames:,} frames", err=True)

    if options["config"] is not None:
        settings = IngestionSettings.load(options["config"])
        return record_topic(settings.kafka, settings.topic_prefix, span, out, progress)
    folder = options["state"] or only_folder("record", pipeline.name)
    with open_broker(folder) as address:
        return record_topic(KafkaSettings(bootstrap_servers=address), pipeline.topic_prefix, span, out, progress)


def _argument(option: str, text: str, read: Callable[[str], T]) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise InvalidInput("record", [Problem(option, text, str(error))]) from error


def _one_of(known: Sequence[str]) -> Callable[[str], str]:
    return lambda text: find_symbol(text.strip(), known)


def _microseconds(text: str) -> int:
    return round(read_time(text).timestamp() * 1_000_000)


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
