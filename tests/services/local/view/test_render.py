"""What is drawn: everything of a run in the width and height that there is."""

from __future__ import annotations

import asyncio
import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.local.managed_process import State
from marketpipeline.local.view.observer import Observation, Rates
from marketpipeline.local.view.render import Frame, activity, imbalance_bar, render
from marketpipeline.local.view.screenshot import save_screenshot
from rich.console import Console

from tests.services.local.view.samples import HEADING, FakeObserver, alert, event, managed, symbol_view


def drawn(
    observer: FakeObserver, seen: Observation, height: int | None = None, width: int = 128, state: State = State.READY
) -> str:
    processes = [managed("broker"), managed("sink-redis", state, "the cache is away" if state is State.UNREADY else "")]
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(render(Frame(HEADING, processes, observer, seen, "waiting for the replay", width, height)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_everything_is_on_the_screen() -> None:
    observer = FakeObserver()
    observer.records = [alert(), alert("whale_trade"), event()]
    asyncio.run(observer.look([], {}))
    text = drawn(observer, Observation(symbols=[symbol_view()], lag={"sink-redis": 1_234}), state=State.UNREADY)
    for part in (
        "crypto",
        "replay of a.gz at 20×",
        "http://127.0.0.1:8000/docs",
        "http://127.0.0.1:8501",
        "the cache is away",
        "61,950.75",
        "61,950.01",
        "0.01",
        "-0.42",
        "forming",
        "+1.230%",
        "-2.000%",
        "1,234",
        "alerts 2  gaps 1  dead letters 0",
        "HIGH whale trade x:AAA: sell of 1.2M",
        "gap x:AAA book 10…19",
        "waiting for the replay",
    ):
        assert part in text, part
    assert text.count("closed") == 1


def test_lag_is_shown_of_what_works() -> None:
    assert "1,234 behind" in drawn(FakeObserver(), Observation(lag={"sink-redis": 1_234}))


def test_before_anything_is_known() -> None:
    text = drawn(FakeObserver(), Observation())
    assert "no trade yet" in text
    assert "none so far" in text


@pytest.mark.parametrize("height", [24, 40, 60])
def test_alerts_give_way_on_a_small_terminal(height: int) -> None:
    observer = FakeObserver()
    observer.records = [alert() for _ in range(100)]
    asyncio.run(observer.look([], {}))
    lines = drawn(observer, Observation(symbols=[symbol_view()]), height).splitlines()
    assert len(lines) <= max(height, 27), "all but three lines of news give way, nothing else does"
    assert sum("HIGH extreme" in line for line in lines) >= 2


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.0, "          │           +0.00"),
        (1.0, "          │██████████ +1.00"),
        (-0.5, "     █████│           -0.50"),
        (0.04, "          │           +0.04"),
    ],
)
def test_the_bar_leans_to_the_heavy_side(ratio: float, expected: str) -> None:
    assert imbalance_bar(ratio).plain == expected


def test_a_picture(tmp_path: Path) -> None:
    observer = FakeObserver()
    path = tmp_path / "run.svg"
    save_screenshot(path, HEADING, {"broker": managed("broker")}, observer, Observation(symbols=[symbol_view()]))
    root = ElementTree.fromstring(path.read_text())
    assert root.tag.endswith("svg")
    assert "61,950.75" in "".join(root.itertext())
    with pytest.raises(InvalidInput, match=r"--screenshot: .*must be a file that can be written"):
        save_screenshot(tmp_path, HEADING, {}, observer, Observation())


def test_activity() -> None:
    rates = Rates()
    ingestion = managed("ingestion")
    rates.note("ingestion", {"frames": 0, "produced": 0}, 0.0)
    rates.note("ingestion", {"frames": 4_000, "produced": 100}, 2.0)
    assert activity(ingestion, rates, {}) == "2,000 frames/s  50 records/s"
    assert activity(ingestion, rates, {"ingestion": 1_200}) == "2,000 frames/s  50 records/s  1,200 behind"
    assert activity(managed("broker"), rates, {}) == ""
    ingestion.details = {"books": {"synced": 108, "of": 400}}
    assert activity(ingestion, rates, {}).startswith("108 of 400 books in sync  2,000 frames/s")
    ingestion.details = {"books": {"synced": 400, "of": 400}}
    assert "books" not in activity(ingestion, rates, {})
