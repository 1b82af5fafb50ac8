from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from marketpipeline.cli import cli
from marketpipeline.errors import InvalidSpec
from marketpipeline.plan import plan, plan_as_json, plan_as_text
from marketpipeline.settings import HttpSettings, SimulatorSettings
from marketpipeline.simulator.main import SimulatedExchange
from marketpipeline.spec import load_file

from tests.conftest import PROJECT

MANIFESTS = sorted((PROJECT / "manifests").glob("*.yaml"))


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_every_sample_is_valid(manifest: Path) -> None:
    done = CliRunner().invoke(cli, ["validate", str(manifest)])
    assert done.exit_code == 0
    assert f"pipeline {load_file(manifest).name} is valid" in done.output


def test_validate_names_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "crypto.yaml"
    path.write_text((PROJECT / "manifests" / "quickstart.yaml").read_text() + "  depht: {}\n  windows: [9m]\n")
    done = CliRunner().invoke(cli, ["validate", str(path)])
    assert isinstance(done.exception, InvalidSpec)
    assert {problem.field for problem in done.exception.problems} == {"spec.depht", "spec.windows[0]"}


def test_plan_as_text_and_json() -> None:
    manifest = PROJECT / "manifests" / "quickstart.yaml"
    expected = plan(load_file(manifest))
    text = CliRunner().invoke(cli, ["plan", str(manifest)])
    assert (text.exit_code, text.output) == (0, plan_as_text(expected) + "\n")
    as_json = CliRunner().invoke(cli, ["plan", str(manifest), "--format", "json"])
    assert json.loads(as_json.output) == plan_as_json(expected)


def test_plan_asks_the_exchange_what_selectors_stand_for(tmp_path: Path) -> None:
    manifest = tmp_path / "many.yaml"
    head = "apiVersion: marketpipeline.dev/v1alpha1\nkind: MarketPipeline\nmetadata: {name: many}\nspec:\n"
    symbols = "  symbols: [binance:ETHBTC, 'binance:*USDC', binance:top-2-USDT, 'okx:*']\n  maxSymbols: 4\n"
    nobody = "http://127.0.0.1:9"
    settings = SimulatorSettings(
        http=HttpSettings(host="127.0.0.1", port=0), exchange="binance", more_symbols=30, scenarios=["calm"]
    )

    async def planned() -> Any:
        exchange = SimulatedExchange(settings)
        await exchange.start()
        urls = f"  ingestion: {{restUrls: {{binance: '{exchange.url}', okx: '{nobody}'}}}}\n"
        manifest.write_text(head + symbols + urls)
        try:
            return await asyncio.to_thread(CliRunner().invoke, cli, ["plan", str(manifest)])
        finally:
            await exchange.stop()

    done = asyncio.run(planned())
    assert done.exit_code == 1
    assert f"what okx's selectors stand for is not known: {nobody} is not reached" in done.stderr
    selectors = [line for line in done.output.splitlines() if line.startswith("  binance:") and ": " in line]
    assert selectors == ["  binance:*USDC: 3 symbols", "  binance:top-2-USDT: 2 symbols"]
    assert "1 of them are left out: maxSymbols is 4" in done.output
    assert "okx:*: not known" in done.output
    assert "ingestion-binance" in done.output
    valid = CliRunner().invoke(cli, ["validate", str(manifest)])
    assert "is valid: 1 symbol and binance:*USDC and binance:top-2-USDT and okx:*, feeds" in valid.output
