"""`marketpipeline simulator`: serve a simulated exchange, or replay captures, over the real wire protocols."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from click.core import ParameterSource

from marketpipeline.cli.parameters import Speed
from marketpipeline.settings import HttpSettings, SimulatorSettings
from marketpipeline.simulator.faults import FAULTS
from marketpipeline.simulator.main import run
from marketpipeline.simulator.simulation.scenarios import SCENARIOS

__all__ = ["simulator"]


EPILOG = f"""\b
Scenarios: tour, {", ".join(SCENARIOS)}.
Faults: {", ".join(FAULTS)}.
Each is NAME[:KEY=VALUE,...][@TIME], TIME in exchange time from the start, e.g. --scenario whale:symbol=BTCUSDT@10s
--fault gap:count=5@30s. While it runs: POST /control/faults/NAME?KEY=VALUE, POST /control/scenarios/NAME;
GET either for what each does, GET /control/status for where the exchange stands, POST /control/speed/N (or max)."""


@click.command(epilog=EPILOG)
@click.option("--config", type=click.Path(path_type=Path), help="Settings as JSON, instead of all other options.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9443, show_default=True, type=click.IntRange(0, 65535), help="Port; 0: a free one.")
@click.option("--exchange", default=None, help="Whose protocols it speaks (default: the first that is known).")
@click.option("--symbol", "symbols", multiple=True, help="Symbol of the simulated market (default: two); repeatable.")
@click.option("--seed", default=1, show_default=True, help="Seed of the simulated market.")
@click.option("--scenario", "scenarios", multiple=True, help="What happens on it (default: tour); repeatable.")
@click.option("--replay", "captures", multiple=True, help="Capture to replay instead; repeat it to merge several.")
@click.option("--speed", type=Speed(), default=1.0, show_default=True, help="Times as fast, or max: as it is read.")
@click.option("--settle", default=1.0, show_default=True, help="Seconds of no new subscription before a replay starts.")
@click.option("--fault", "faults", multiple=True, help="What goes wrong on the wire; repeatable.")
@click.pass_context
def simulator(
    ctx: click.Context,
    config: Path | None,
    host: str,
    port: int,
    exchange: str | None,
    symbols: tuple[str, ...],
    seed: int,
    scenarios: tuple[str, ...],
    captures: tuple[str, ...],
    speed: float | None,
    settle: float,
    faults: tuple[str, ...],
) -> None:
    """Serve an exchange on one port: its WebSocket and REST protocols, /control, /health and /metrics."""
    if config is not None:
        given = [name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if others := sorted(set(given) - {"config"}):
            raise click.UsageError(f"--config stands alone; it says all, also {', '.join(others)}")
        sys.exit(run(SimulatorSettings.load(config)))
    settings = SimulatorSettings(
        http=HttpSettings(host=host, port=port),
        exchange=exchange,
        symbols=list(symbols),
        seed=seed,
        scenarios=list(scenarios),
        captures=list(captures),
        speed=speed,
        settle_ms=max(1, int(settle * 1000)),
        faults=list(faults),
    )
    sys.exit(run(settings))
