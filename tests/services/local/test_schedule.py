from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from marketpipeline.local import schedule as module
from marketpipeline.local.component import Command
from marketpipeline.local.guard import Guard
from marketpipeline.local.schedule import Scheduled, is_due, next_time, run_scheduled
from marketpipeline.plan import plan
from marketpipeline.spec import load_file

from tests.conftest import PROJECT

NOW = datetime(2026, 11, 21, 2, 59, 30, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("* * * * *", datetime(2026, 11, 21, 3, 0, tzinfo=UTC)),
        ("*/5 * * * *", datetime(2026, 11, 21, 3, 0, tzinfo=UTC)),
        ("0 3 * * *", datetime(2026, 11, 21, 3, 0, tzinfo=UTC)),
        ("59 2 * * *", datetime(2026, 11, 22, 2, 59, tzinfo=UTC)),
        ("0 3 * * 0", datetime(2026, 11, 22, 3, 0, tzinfo=UTC)),
        ("10,40 0 1 12 *", datetime(2026, 12, 1, 0, 10, tzinfo=UTC)),
    ],
)
def test_next_time(schedule: str, expected: datetime) -> None:
    assert next_time(schedule, NOW) == expected
    assert is_due(schedule, expected)


@pytest.mark.parametrize("schedule", ["", "* * * *", "a * * * *", "1-5 * * * *", "0 0 30 2 *"])
def test_what_names_no_time(schedule: str) -> None:
    with pytest.raises(ValueError):
        next_time(schedule, NOW)


@pytest.mark.parametrize("manifest", sorted((PROJECT / "manifests").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_planned_schedule_is_understood(manifest: Path) -> None:
    for job in plan(load_file(manifest)).scheduled_jobs:
        assert next_time(job.schedule, NOW) - NOW <= timedelta(days=1)


async def test_jobs_run_at_their_time_and_a_failure_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "next_time", lambda schedule, now: now + timedelta(seconds=0.2))
    guard = Guard("mark-of-a-schedule")
    reports: list[str] = []
    both = asyncio.Event()

    def report(text: str) -> None:
        reports.append(text)
        if {said.split(":")[0] for said in reports} == {"feed-watch", "slow"}:
            both.set()

    jobs = [
        Scheduled("maintenance", "0 3 * * *", Command(("sh", "-c", "echo ran")), 10),
        Scheduled("feed-watch", "*/5 * * * *", Command(("sh", "-c", "exit 1")), 10),
        Scheduled("slow", "*/5 * * * *", Command(("sleep", "600")), 0.2),
    ]
    running = asyncio.create_task(run_scheduled(jobs, guard, lambda name: tmp_path / f"{name}.log", report))
    try:
        async with asyncio.timeout(20):
            await both.wait()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        guard.dismiss()
    assert any(said.startswith("feed-watch: ") and "ended with status 1" in said for said in reports)
    assert any(said.startswith("slow: ") and "did not end within 0.2 s" in said for said in reports)
    assert "ran" in (tmp_path / "maintenance.log").read_text()
