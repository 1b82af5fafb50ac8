from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cronsim import CronSim
from marketpipeline.local import schedule as module
from marketpipeline.local.component import Command
from marketpipeline.local.reaper import Reaper
from marketpipeline.local.schedule import Scheduled, run_scheduled
from marketpipeline.plan import plan
from marketpipeline.spec import load_file

from tests.conftest import PROJECT

NOW = datetime(2026, 11, 21, 2, 59, 30, 5, tzinfo=UTC)


@pytest.mark.parametrize("manifest", sorted((PROJECT / "manifests").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_planned_schedule_names_a_time_within_a_day(manifest: Path) -> None:
    for job in plan(load_file(manifest)).scheduled_jobs:
        assert timedelta(0) < next(CronSim(job.schedule, NOW)) - NOW <= timedelta(days=1)


async def test_jobs_run_at_their_time_and_a_failure_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CronSim", lambda schedule, now: iter([now + timedelta(seconds=0.2)]))
    reaper = Reaper("mark-of-a-schedule")
    reports: list[str] = []
    both = asyncio.Event()

    def report(text: str) -> None:
        reports.append(text)
        if {said.split(":")[0] for said in reports} == {"staleness-check", "slow"}:
            both.set()

    jobs = [
        Scheduled("maintenance", "0 3 * * *", Command(("sh", "-c", "echo ran")), 10),
        Scheduled("staleness-check", "*/5 * * * *", Command(("sh", "-c", "exit 1")), 10),
        Scheduled("slow", "*/5 * * * *", Command(("sleep", "600")), 0.2),
    ]
    running = asyncio.create_task(run_scheduled(jobs, reaper, lambda name: tmp_path / f"{name}.log", report))
    try:
        async with asyncio.timeout(20):
            await both.wait()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        reaper.dismiss()
    assert any(said.startswith("staleness-check: ") and "ended with status 1" in said for said in reports)
    assert any(said.startswith("slow: ") and "did not end within 0.2 s" in said for said in reports)
    assert "ran" in (tmp_path / "maintenance.log").read_text()
