"""`kubectl marketpipeline` as a user calls it, by kubectl, against a real API server and the operator.

What needs a node (logs, a restart that Pods follow) is in tests/cluster.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from marketpipeline_operator.cluster.kinds import PIPELINE_KIND, POD
from marketpipeline_operator.names import RESTART, Object

from tests.operator.support import Kubectl, OperatorUnderTest, Pipelines, ScriptedFlink, eventually
from tests.operator.test_standalone_api import running
from tests.operator.test_status_api import pods_of, pulling
from tests.support.broker import RunningBroker


class Plugin:
    """kubectl with the plugin on its PATH, in the namespace of the test."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self._kubectl, self._namespace = kubectl, namespace

    async def __call__(self, *arguments: str, status: int = 0) -> str:
        """What it printed, on both streams."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "KUBECONFIG": str(self._kubectl.kubeconfig), "HOME": "/nonexistent"}
        command = [self._kubectl.program, "marketpipeline", "--namespace", self._namespace, *arguments]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=120, check=False, env=environment
        )
        assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return str(done.stdout + done.stderr)


@pytest.fixture
def plugin(kubectl: Kubectl, namespace: str) -> Plugin:
    return Plugin(kubectl, namespace)


async def marks_of(pipelines: Pipelines) -> dict[str, str | None]:
    """What the Pods of each Deployment say of a restart."""
    found = await pipelines.deployments()
    return {
        name: thing["spec"]["template"]["metadata"].get("annotations", {}).get(RESTART) for name, thing in found.items()
    }


async def test_a_name_that_is_not_there_and_what_there_is(plugin: Plugin, pipelines: Pipelines) -> None:
    assert "no MarketPipeline in namespace" in await plugin("status")
    await pipelines.create("crypto")
    said = await plugin("status", "kripto", status=2)
    assert "NAME: 'kripto': must be one of crypto" in said
    assert "New" in (await plugin("status")).splitlines()[1]
    said = await plugin("--context", "elsewhere", "status", status=2)
    assert "--context: 'elsewhere': must be one of" in said


async def test_a_running_pipeline_a_restart_and_a_suspension(
    plugin: Plugin, pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    flink = ScriptedFlink()
    await running(pipelines, operator, broker, flink)
    said = await plugin("status", "crypto")
    assert "Phase:      Running" in said
    assert "http://crypto-api." in said
    assert "!" not in said
    assert "no 'apis'; it has api, ingestion" in await plugin("restart", "crypto", "--component", "apis", status=2)

    await plugin("restart", "crypto", "--component", "api")

    async def only_the_api() -> bool:
        marks = await marks_of(pipelines)
        return marks.pop("api") is not None and not any(marks.values())

    await eventually(only_the_api, "the API's Pods are to be replaced, and no other")
    await pipelines.make_ready()
    flink.follows = ("savepoint", "goes on")
    await plugin("restart", "crypto")

    async def everything() -> bool:
        await pipelines.make_ready()
        return all((await marks_of(pipelines)).values())

    await eventually(everything, "all Pods are to be replaced, one process of ingestion after another")
    assert flink.stops == 1, "the job is stopped with a savepoint"
    await pipelines.run()
    flink.follows = None
    assert "crypto: suspended" in await plugin("suspend", "crypto")
    assert "Phase:      Suspended" in await plugin("status", "crypto")
    assert "will be resumed" in await plugin("resume", "crypto", "--no-wait")
    assert (await pipelines.get() or {})["spec"]["suspend"] is False
    await pipelines.annotate(pause_reconciliation="true")
    assert "its reconciling is paused" in await plugin("suspend", "crypto", status=2)


async def test_what_is_wrong_stands_with_what_to_do_and_a_report_has_no_password(
    plugin: Plugin, pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, tmp_path: Path
) -> None:
    await running(pipelines, operator, broker, ScriptedFlink())
    pod = (await pods_of(pipelines, "api"))[0]["metadata"]["name"]
    unready: Object = {"conditions": [{"type": "Ready", "status": "False"}]}
    await pipelines.set_status(POD, pod, pulling("registry/api:broken") | unready)
    await pipelines.until("Ready", status="False", reason="ImagePullBackOff")
    said = await plugin("status", "crypto")
    assert '! ImagePullBackOff: api: Back-off pulling image "registry/api:broken": not found' in said
    assert "An image cannot be pulled: check its name and tag" in said
    assert any(line.startswith(pod) and "ImagePullBackOff" in line for line in said.splitlines())

    mark: Object = {"metadata": {"annotations": {"seen-at": "postgresql://reader:hunter2@db/market"}}}
    await pipelines.kubernetes.merge(PIPELINE_KIND, pipelines.namespace, "crypto", mark)
    out = tmp_path / "report.tar.gz"
    assert "passwords replaced" in await plugin("report", "crypto", "--out", str(out))
    with tarfile.open(out) as archive:
        files = {one.name: archive.extractfile(one).read().decode() for one in archive}  # type: ignore[union-attr]  # all are files
    assert "crypto/objects/ConfigMap/crypto-api.yaml" in files
    assert f"crypto/pods/{pod}.yaml" in files
    assert yaml.safe_load(files["crypto/pipeline.yaml"])["spec"]["symbols"] == ["binance:BTCUSDT", "binance:ETHUSDT"]
    assert "ImagePullBackOff" in files["crypto/status.txt"]
    assert "hunter2" not in "".join(files.values())
    assert "reader:***@db" in files["crypto/pipeline.yaml"]
