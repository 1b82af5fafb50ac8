"""`marketpipeline exchange`: serve a simulated exchange, or replay captures, over the real wire protocols."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from marketpipeline.exchange.main import run
from marketpipeline.settings import ExchangeSettings, HttpSettings

__all__ = ["exchange"]


class Speed(click.ParamType[Any]):
    """A positive number, or `max`."""

    name = "N|max"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """`max` stays as it is."""
        if value == "max":
            return "max"
        try:
            speed = float(value)
        except (TypeError, ValueError):
            speed = 0.0
        if not 0 < speed < float("inf"):
            self.fail(f"{value!r} must be a number above 0, or max", param, ctx)
        return speed


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings as JSON; every other option is ignored.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9443, show_default=True, type=click.IntRange(0, 65535), help="Port; 0: a free one.")
@click.option("--replay", "captures", multiple=True, help="Capture to replay; repeat it to merge several.")
@click.option("--speed", type=Speed(), default=1.0, show_default=True, help="Times as fast, or max: as read.")
@click.option("--settle", default=1.0, show_default=True, help="Seconds of no new subscription before the start.")
def exchange(
    config: Path | None, host: str, port: int, captures: tuple[str, ...], speed: float | str, settle: float
) -> None:
    """Serve an exchange on one port: its WebSocket and REST protocols, and /control, /health and /metrics."""
    if config is not None:
        sys.exit(run(ExchangeSettings.load(config)))
    settings = ExchangeSettings(
        http=HttpSettings(host=host, port=port),
        captures=list(captures),
        speed=None if isinstance(speed, str) else speed,
        settle_ms=max(1, int(settle * 1000)),
    )
    sys.exit(run(settings))
