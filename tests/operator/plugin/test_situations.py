"""What kubectl and its plugin show of a pipeline in eight situations, as docs/situations.md has it.

Ages, times, counters, names of Pods and the lists of Pods and events differ from one run to the next, so they are not
compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest
from marketpipeline.telemetry import Health
from marketpipeline.telemetry.health import HealthServer
from marketpipeline_operator.cluster.kinds import POD

from tests.conftest import PROJECT
from tests.operator.plugin.test_commands import Plugin
from tests.operator.support import Kubectl, OperatorUnderTest, Pipelines, ScriptedFlink, eventually
from tests.operator.test_standalone_api import running, until_suspended
from tests.operator.test_status_api import pods_of, pulling
from tests.support.broker import RunningBroker
from tests.support.golden import check_golden

PAGE = PROJECT / "docs" / "situations.md"
HEAD = """# What you see

A pipeline in eight situations, as `kubectl get mp` and `kubectl marketpipeline status` show it. A test writes this from
a real API server.
"""
OF_NO_NODE = r"FailedScheduling|FailedToUpdateEndpoint"
"""Events that only a cluster without a node has."""
ADDRESS = "127.77.0.3"


@dataclass
class Page:
    """The sections so far."""

    kubectl: Kubectl
    plugin: Plugin
    namespace: str
    sections: dict[str, str] = field(default_factory=dict)

    async def add(self, title: str) -> None:
        """What is shown now."""
        short = self.kubectl("get", "mp", "crypto", f"--namespace={self.namespace}")
        status = await self.plugin("status", "crypto")
        shown = f"$ kubectl get mp crypto\n{short}\n$ kubectl marketpipeline status crypto\n{status}"
        lines = shown.replace(self.namespace, "markets").splitlines(keepends=True)
        self.sections[title] = "".join(line for line in lines if not re.search(OF_NO_NODE, line))

    def text(self) -> str:
        """The page."""
        parts = (f"\n## {title}\n\n```console\n{shown}```\n" for title, shown in self.sections.items())
        return HEAD + "".join(parts)


def comparable(page: str) -> str:
    """The lines that are the same in each run: a Pod that goes may be there still."""
    kept, skipping = [""], False
    for line in page.splitlines():
        skipping = line.startswith(("POD ", "LAST SEEN")) or (skipping and line not in ("", "```"))
        if not skipping and not line.startswith("Data:"):
            plain = re.sub(r"\b\d+[smhd]\b|\d{4}-\d\d-\d\dT[\d:]+Z|127\.0\.0\.1:\d+", "…", line)
            text = re.sub(r" {2,}", "  ", plain).strip()
            if text or kept[-1]:
                kept.append(text)
    return "\n".join(kept)


async def test_the_page_shows_what_there_is(
    kubectl: Kubectl,
    namespace: str,
    pipelines: Pipelines,
    operator: OperatorUnderTest,
    broker: RunningBroker,
) -> None:
    page, flink = Page(kubectl, Plugin(kubectl, namespace), namespace), ScriptedFlink()
    await pipelines.create("crypto")
    await page.add("New, and no operator runs")
    await pipelines.delete("crypto")
    await running(
        pipelines, operator, broker, flink, reconcile={"health_interval": 0.2}, flink={"savepoint_timeout": 60}
    )
    await page.add("Running")
    health = Health("degraded", {"error": "the database does not answer: Connection refused"})
    server = HealthServer(ADDRESS, 9100, lambda: health, lambda: b"")
    try:
        await say(pipelines, "sink-timescale", {"podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]})
        await pipelines.until("Degraded", status="True", reason="ProcessDegraded")
        await page.add("The database is away")
        health = Health("ok")
        await pipelines.until("Ready", status="True")
        health = Health("degraded", {"reason": "stream.binance.com cannot be reached: timed out"})
        await say(pipelines, "ingestion-binance-0", {"podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]})
        await say(pipelines, "sink-timescale", {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]})
        await pipelines.until("Degraded", status="True", message="ingestion")
        await page.add("The exchange is blocked")
        health = Health("ok")
        await pipelines.until("Ready", status="True")
    finally:
        server.close()
    unready = {"conditions": [{"type": "Ready", "status": "False"}]}
    await say(pipelines, "api", pulling("registry/api:broken") | unready)
    await pipelines.until("Degraded", status="True", reason="ImagePullBackOff")
    await page.add("An image that is not there")
    await say(
        pipelines,
        "api",
        {"phase": "Running", "containerStatuses": None, "conditions": [{"type": "Ready", "status": "True"}]},
    )
    await pipelines.until("Ready", status="True")
    await pipelines.annotate(pause_reconciliation="true")
    await pipelines.until("Paused", status="True")
    await page.add("Paused")
    await pipelines.annotate(pause_reconciliation=None)
    await pipelines.until("Paused", status="False")
    await pipelines.edit(suspend=True)
    await until_suspended(pipelines)
    await page.add("Suspended")
    flink.finish = False
    flink.begin("restored", "goes on from its savepoint")
    await pipelines.edit(suspend=False)

    async def runs_again() -> bool:
        await pipelines.make_ready()
        return (await pipelines.condition("Ready")).get("status") == "True"

    await eventually(runs_again, "it runs again")
    await pipelines.delete("crypto")
    await pipelines.until("Ready", status="False", reason="Deleting")
    await page.add("Being deleted")
    check_golden(PAGE, page.text(), comparable)


async def say(pipelines: Pipelines, process: str, status: dict[str, object]) -> None:
    """Be the kubelet of a process's Pod."""
    pod = (await pods_of(pipelines, process))[0]
    await pipelines.set_status(POD, pod["metadata"]["name"], status)


def test_every_situation_tells_what_to_do() -> None:
    """Where something is wrong, its remedy stands below it."""
    page = PAGE.read_text()
    for reason in ("ProcessDegraded", "ImagePullBackOff"):
        assert re.search(rf"^! {reason}: .+\n  [A-Z].+\.$", page, re.MULTILINE), reason


@pytest.mark.parametrize("title", ["New, and no operator runs", "Running", "Paused", "Suspended", "Being deleted"])
def test_a_situation_in_which_nothing_is_wrong_shows_no_problem(title: str) -> None:
    section = PAGE.read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    assert "Phase:" in section
    assert "\n! " not in section
