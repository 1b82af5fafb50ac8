"""What a user sees of a run: a live screen on a terminal, lines of events elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

from marketpipeline.local.options import RunOptions
from marketpipeline.local.stack import LocalStack
from marketpipeline.local.view.base import Heading, View
from marketpipeline.local.view.observer import Observer
from marketpipeline.local.view.plain import PlainView
from marketpipeline.local.view.screen import ScreenView
from marketpipeline.plan import Plan
from marketpipeline.readers import Readers, readers_of
from marketpipeline.settings import ApiSettings, Stores
from marketpipeline.sink_kinds import sink_kinds
from marketpipeline.spec import MarketPipeline

__all__ = ["View", "make_view"]


def make_view(pipeline: MarketPipeline, plan: Plan, stack: LocalStack, options: RunOptions, state: Path) -> View:
    """The screen where a terminal can show one and `--no-ui` does not forbid it, else lines."""
    api = stack.api.url if stack.api else None
    dashboard = stack.dashboard.url if stack.dashboard else None
    heading = Heading(pipeline.name, plan.symbols, _source(options), state, api, dashboard)
    observer = Observer(plan, stack.kafka, _readers(pipeline, plan, stack), pipeline.spec.windows)
    if options.ui and sys.stdout.isatty():
        return ScreenView(heading, observer, options.screenshot)
    return PlainView(heading, observer, options.screenshot)


def _readers(pipeline: MarketPipeline, plan: Plan, stack: LocalStack) -> Readers:
    """Readers of the stores whose servers are on this machine."""
    stores = {name: store for name, store in stack.stores.items() if sink_kinds()[name].reader}
    settings = ApiSettings(
        pipeline=pipeline.name,
        symbols=list(plan.symbols),
        windows=pipeline.spec.windows,
        stores=Stores.model_validate(stores),
    )
    return readers_of(settings, "marketpipeline-view")


def _source(options: RunOptions) -> str:
    if not options.replay:
        return {"simulated": "simulated exchange", "live": "live exchange"}.get(options.exchange, options.exchange)
    speed = "full speed" if options.speed is None else f"{options.speed:g}×"
    names = ", ".join(path.name for path in options.replay)
    return f"replay of {names} at {speed}"
