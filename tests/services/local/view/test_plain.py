"""A run as lines: what happened, once, and a summary at the end."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest
from marketpipeline.local.managed_process import State
from marketpipeline.local.view import plain as module
from marketpipeline.local.view.plain import PlainView

from tests.services.local.view.samples import HEADING, FakeObserver, alert, candle, event, managed, symbol_view


def texts(capsys: pytest.CaptureFixture[str]) -> list[str]:
    printed = capsys.readouterr().out.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in printed)
    return [line[9:] for line in printed]


async def test_a_run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_SECONDS", 0.01)
    observer = FakeObserver()
    view = PlainView(HEADING, observer, tmp_path / "run.svg")
    broker = managed("broker", State.STARTING)
    async with view.shown({"broker": broker}):
        view.changed(broker)
        broker.turn(State.READY)
        view.changed(broker)
        observer.symbols = [symbol_view()]
        await asyncio.sleep(0.1)
        before = texts(capsys)
        assert not [line for line in before if line.startswith("first candle")], "it is from an earlier run"
        observer.symbols[0].forming["1m"] = candle(process_time=time.time_ns() // 1_000)
        observer.records = [event(), *(alert() for _ in range(9))]
        await asyncio.sleep(0.1)
        broker.restarts = 1
        broker.turn(State.RESTARTING, "was ended by signal 9")
        view.changed(broker)
        await view.settled()
        observer.late_trades = 3
        view.ended(None)
    said = before + texts(capsys)
    assert said[0] == "pipeline crypto: replay of a.gz at 20×; state in /state"
    assert any(re.fullmatch(r"broker is ready \(\d\.\d s\) toy://broker", line) for line in said)
    (first,) = [line for line in said if line.startswith("first candle after ")]
    assert "x:AAA 1m" in first
    assert "API: http://127.0.0.1:8000/docs" in said
    assert "dashboard: http://127.0.0.1:8501" in said
    assert "feed: gap x:AAA book 10…19" in said
    assert said.count("alert: HIGH extreme imbalance x:AAA open: sell side, -0.81") == 4
    assert "… and 5 more alerts and feed events" in said
    assert "broker: restarting: was ended by signal 9" in said
    assert any(line.startswith("last closed: x:AAA 1m") for line in said)
    assert re.fullmatch(r"ended after \d+ s: 9 alerts, 1 gaps, 3 late trades, 0 dead letters, 1 restarts", said[-2])
    assert said[-1].endswith("--state /state")
    assert (tmp_path / "run.svg").exists()


async def test_waiting_is_said_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    view = PlainView(HEADING, FakeObserver(), None)
    for number in range(50):
        view.waiting_for(f"sink ({number} records behind)")
    assert texts(capsys) == ["waiting for sink (0 records behind)"]
