"""The commands of the components: each takes its settings file and runs until SIGTERM or SIGINT."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import click

from marketpipeline import settings as tree

__all__ = ["api", "feed_watch", "ingestion", "maintenance", "sink_redis", "sink_timescale"]


def _component(name: str, model: type[tree.Settings], target: str, summary: str) -> click.Command:
    """A command that loads `model` and hands it to `target` (`module:function`), whose result is the status."""

    @click.command(name, help=summary)
    @click.option("--config", required=True, type=click.Path(path_type=Path), help="Settings as JSON (see `plan`).")
    def command(config: Path) -> None:
        settings = model.load(config)
        module, _, function = target.partition(":")
        run: Callable[[tree.Settings], int] = getattr(import_module(module), function)
        sys.exit(run(settings))

    return command


ingestion = _component(
    "ingestion", tree.IngestionSettings, "marketpipeline.ingestion.main:run", "Read one exchange into the broker."
)
sink_timescale = _component(
    "sink-timescale",
    tree.TimescaleSinkSettings,
    "marketpipeline.sinks.main:run_timescale",
    "Write the topics to TimescaleDB or PostgreSQL.",
)
sink_redis = _component(
    "sink-redis", tree.RedisSinkSettings, "marketpipeline.sinks.main:run_redis", "Keep the latest values in Redis."
)
api = _component("api", tree.ApiSettings, "marketpipeline.api.main:run", "Serve queries over HTTP.")
maintenance = _component(
    "maintenance",
    tree.TimescaleSinkSettings,
    "marketpipeline.sinks.main:run_maintenance",
    "Drop what is older than its retention, where the database does not do it by itself.",
)
feed_watch = _component(
    "feed-watch",
    tree.ApiSettings,
    "marketpipeline.watch.main:run",
    "Report the symbols whose newest data is older than it should be; status 1 when there are any.",
)
