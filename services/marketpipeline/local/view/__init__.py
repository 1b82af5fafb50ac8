"""What a user sees of a run: a live screen on a terminal, lines of events elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

from marketpipeline.local.machine import Machine
from marketpipeline.local.options import RunOptions
from marketpipeline.local.view.base import Heading, View
from marketpipeline.local.view.lines import Lines
from marketpipeline.local.view.observe import Observer
from marketpipeline.local.view.screen import Screen
from marketpipeline.plan import Plan
from marketpipeline.settings import RedisStoreSettings
from marketpipeline.spec import MarketPipeline

__all__ = ["View", "make_view"]


def make_view(pipeline: MarketPipeline, plan: Plan, machine: Machine, options: RunOptions, state: Path) -> View:
    """The screen where a terminal can show one and `--no-ui` does not forbid it, else lines."""
    api = machine.api.url if machine.api else None
    heading = Heading(pipeline.name, tuple(pipeline.spec.symbols), _source(options), state, api)
    store = RedisStoreSettings(url=machine.valkey.url, prefix=pipeline.topic_prefix)
    observer = Observer(plan, machine.kafka, store, machine.valkey.password, pipeline.spec.windows)
    if options.ui and sys.stdout.isatty():
        return Screen(heading, observer, options.screenshot)
    return Lines(heading, observer, options.screenshot)


def _source(options: RunOptions) -> str:
    if not options.replay:
        return {"simulated": "simulated exchange", "live": "live exchange"}.get(options.exchange, options.exchange)
    speed = "full speed" if options.speed is None else f"{options.speed:g}×"
    names = ", ".join(path.name for path in options.replay)
    return f"replay of {names} at {speed}"
