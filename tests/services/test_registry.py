"""Entries of a registry: those of its package, those of plugins, and plugins that cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from marketpipeline.errors import PermanentError
from marketpipeline.registry import discover
from marketpipeline.venues import Venue, venues

GROUP = "marketpipeline.venues"
OURS = sorted(venues())  # before any plugin of a test is there
TOY = """
from dataclasses import replace
from marketpipeline.venues.binance import VENUE as BINANCE
VENUE = replace(BINANCE, name="{name}")
OTHER = 5
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution without any entry point yet: the folder of its metadata."""
    (tmp_path / "toy_venue.py").write_text(TOY.format(name="toy"))
    metadata = tmp_path / "toy-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "toy_venue", raising=False)
    return metadata


def declare(metadata: Path, target: str) -> None:
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\ntoy = {target}\n")


def test_the_package_and_the_plugins_give_the_entries(plugin: Path) -> None:
    declare(plugin, "toy_venue:VENUE")
    found = discover(GROUP, "VENUE", Venue)
    assert list(found) == [*OURS, "toy"]
    assert found["toy"].symbol_example == "BTCUSDT"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("toy_venue:OTHER", "is a int, not a Venue"),
        ("toy_venue:ABSENT", "does not load"),
        ("no_such_module:VENUE", "does not load"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named(plugin: Path, target: str, says: str) -> None:
    declare(plugin, target)
    with pytest.raises(PermanentError, match=f"plugin {target} of {GROUP} {says}"):
        discover(GROUP, "VENUE", Venue)


def test_a_name_is_given_once(plugin: Path) -> None:
    (plugin.parent / "toy_venue.py").write_text(TOY.format(name="binance"))
    declare(plugin, "toy_venue:VENUE")
    with pytest.raises(PermanentError, match="the name binance is taken"):
        discover(GROUP, "VENUE", Venue)
