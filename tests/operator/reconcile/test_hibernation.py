"""Hibernation: who is asleep at which hour of which clock, and what becomes of it at a real API server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from marketpipeline.errors import InvalidSpec
from marketpipeline_operator.flink.schedule import next_time
from marketpipeline_operator.reconcile.hibernation import Hibernation

from tests.operator.builders.support import context_of
from tests.operator.plugin.test_commands import Plugin, plugin  # noqa: F401
from tests.operator.support import OperatorUnderTest, Pipelines, ScriptedFlink
from tests.operator.test_standalone_api import running, until_resumed, until_suspended
from tests.support.broker import RunningBroker

WORK: dict[str, Any] = {"schedule": "0 20 * * 1-5", "wake": "0 7 * * 1-5", "timeZone": "Europe/Berlin"}
NEVER, ALWAYS = "0 0 29 2 *", "* * * * *"


@pytest.mark.parametrize(
    ("now", "asleep", "until"),
    [
        ("2026-03-27T18:59:59Z", False, "2026-03-27T19:00:00Z"),
        ("2026-03-27T19:00:00Z", True, "2026-03-30T05:00:00Z"),  # the weekend in which summer time begins
        ("2026-03-30T04:59:59Z", True, "2026-03-30T05:00:00Z"),
        ("2026-03-30T05:00:00Z", False, "2026-03-30T18:00:00Z"),
    ],
)
def test_asleep_from_evening_to_morning_by_the_clock_of_the_place(now: str, asleep: bool, until: str) -> None:
    found = Hibernation.of(context_of(hibernation=WORK).pipeline, moment := datetime.fromisoformat(now))
    assert found.status == {"asleep": asleep, "until": until}
    assert found.seconds(moment) == pytest.approx((datetime.fromisoformat(until) - moment).total_seconds() + 0.1)
    assert found.put_to(context_of(hibernation=WORK).pipeline).spec.suspend is asleep


TWICE: dict[str, Any] = {"schedule": "30 2 * * *", "wake": "0 7 * * *", "timeZone": "Europe/Berlin"}
"""At half past two, which the clock shows twice on 2026-10-25: at 00:30 and at 01:30 UTC. The first one counts."""


@pytest.mark.parametrize(
    ("now", "asleep", "until"),
    [
        ("2026-10-25T00:15:00Z", False, "2026-10-25T00:30:00Z"),
        ("2026-10-25T00:45:00Z", True, "2026-10-25T06:00:00Z"),
        ("2026-10-25T01:15:00Z", True, "2026-10-25T06:00:00Z"),
        ("2026-10-25T01:45:00Z", True, "2026-10-25T06:00:00Z"),
        ("2026-10-25T06:00:00Z", False, "2026-10-26T01:30:00Z"),
    ],
)
def test_what_the_clock_shows_twice_happens_once(now: str, asleep: bool, until: str) -> None:
    moment = datetime.fromisoformat(now)
    assert Hibernation.of(context_of(hibernation=TWICE).pipeline, moment).status == {"asleep": asleep, "until": until}
    turned = TWICE | {"schedule": TWICE["wake"], "wake": TWICE["schedule"]}
    found = Hibernation.of(context_of(hibernation=turned).pipeline, moment)
    assert found.status == {"asleep": not asleep, "until": until}
    assert (found.seconds(moment) or 0) >= 1


def test_suspend_wins_and_without_a_section_there_is_none() -> None:
    now = datetime.fromisoformat("2026-03-28T12:00:00Z")
    specs: list[dict[str, Any]] = [{"hibernation": WORK, "suspend": True}, {}]
    for spec in specs:
        found = Hibernation.of(context_of(**spec).pipeline, now)
        assert (found.asleep, found.status, found.seconds(now)) == (False, {}, None)


@pytest.mark.parametrize("zone", ["Europe", "Europe/Nowhere", "../etc/passwd", "Mars"])
def test_a_zone_that_is_not_there_is_refused_by_name(zone: str) -> None:
    with pytest.raises(InvalidSpec, match=r"spec.hibernation.timeZone: .*Europe/Berlin"):
        context_of(hibernation=WORK | {"timeZone": zone})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"wake": WORK["schedule"]}, r"spec.hibernation.wake: '0 20 \* \* 1-5': must be another time than"),
        (
            {"wake": "0 7 30 2 *"},
            r"spec.hibernation.wake: '0 7 30 2 \*': never comes: none of its months has",
        ),
    ],
)
def test_a_rest_without_an_end_is_refused(changed: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidSpec, match=said):
        context_of(hibernation=WORK | changed)


async def test_asleep_it_is_suspended_with_a_savepoint_and_says_until_when(
    pipelines: Pipelines,
    operator: OperatorUnderTest,
    broker: RunningBroker,
    plugin: Plugin,  # noqa: F811
) -> None:
    flink = ScriptedFlink()
    await running(pipelines, operator, broker, flink)
    await pipelines.edit(hibernation={"schedule": ALWAYS, "wake": NEVER})
    await until_suspended(pipelines)
    assert flink.stops == 1
    message = (await pipelines.until("Ready", status="False", reason="Hibernating"))["message"]
    leap_day = next_time(NEVER, datetime.now(UTC))
    assert leap_day is not None
    until = leap_day.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert f"until {until}" in message
    status = (await pipelines.get() or {})["status"]
    assert status["hibernation"] == {"asleep": True, "until": until}
    assert f"it is asleep until {until}" in await plugin("resume", "crypto", status=2)
    assert f"it is asleep until {until}, nothing of it runs; to wake it" in await plugin(
        "savepoint", "crypto", status=2
    )
    await plugin("suspend", "crypto")
    said = await plugin("replay", "crypto", "--yes", status=2)
    assert "it is suspended, nothing of it runs; start it first with kubectl marketpipeline resume crypto" in said
    assert f"suspended no more, but it is asleep until {until}" in await plugin("resume", "crypto")
    flink.begin("savepoint", "goes on from its savepoint")
    await pipelines.edit(hibernation={"schedule": NEVER, "wake": ALWAYS})
    await until_resumed(pipelines)
    await pipelines.run()
    status = (await pipelines.get() or {})["status"]
    assert status["hibernation"] == {"asleep": False, "until": until}
