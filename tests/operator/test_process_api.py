"""The operator as a process: its probes, its metrics, its end; and that a probe fails when the work has stalled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from marketpipeline_operator import application
from marketpipeline_operator.application import Operator
from marketpipeline_operator.cluster.cache import Key
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.reconcile.queue import Queue
from marketpipeline_operator.settings import ReconcileSettings

from tests.conftest import free_port, wait_for
from tests.operator.support import Kubectl, Pipelines, eventually, settings_for
from tests.support.tied import tied


@contextmanager
def process(kubeconfig: Path, folder: Path, **settings: Any) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    path = folder / f"{port}.json"
    path.write_text(json.dumps({"http": {"host": "127.0.0.1", "port": port}, **settings}))
    command = [sys.executable, "-m", "marketpipeline_operator", "--config", str(path)]
    with (folder / f"{port}.log").open("wb") as log:
        environment = os.environ | {"KUBECONFIG": str(kubeconfig)}
        running = subprocess.Popen(tied(command), env=environment, stdout=log, stderr=log)
    try:
        yield running, f"http://127.0.0.1:{port}"
    finally:
        running.kill()
        running.wait()


def read(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


async def test_probes_metrics_standby_and_end(
    kubectl: Kubectl, kubeconfig: Path, pipelines: Pipelines, tmp_path: Path
) -> None:
    own = {
        "namespaces": [pipelines.namespace],
        "lease": {"namespace": pipelines.namespace, "duration": 6, "renew": 1},
    }
    with process(kubeconfig, tmp_path, **own) as (first, url):
        wait_for(lambda: read(f"{url}/health")[0] == 200, "the operator ready")
        await pipelines.create()

        async def made() -> bool:
            return "ConfigMap/crypto-api" in await pipelines.children()

        await eventually(made, "children")
        with process(kubeconfig, tmp_path, **own) as (second, other):
            wait_for(lambda: read(f"{other}/health/live")[0] == 200, "the second alive")
            wait_for(lambda: "standing by" in read(f"{other}/health")[1], "the second standing by")
            assert read(f"{other}/health")[0] == 503
            status, text = read(f"{url}/metrics")
            assert status == 200
            for name, *labels in (
                ("reconciles_total", 'result="ok"'),
                ("requests_total", 'resource="configmaps"', 'status="201"', 'verb="PATCH"'),
                ("pipeline_ready{", 'pipeline="crypto"', f'pipeline_namespace="{pipelines.namespace}"'),
                ("reconcile_duration_seconds_count",),
                ("queue{",),
                ("pipelines{", 'phase="'),
            ):
                lines = [line for line in text.splitlines() if line.startswith(f"marketpipeline_operator_{name}")]
                assert any(all(label in line for label in labels) for line in lines), (name, lines)
            first.send_signal(signal.SIGTERM)
            assert first.wait(60) == 0
            wait_for(lambda: read(f"{other}/health")[0] == 200, "the second takes over")
            second.send_signal(signal.SIGTERM)
            assert second.wait(60) == 0


def test_wrong_settings_are_named(tmp_path: Path, kubeconfig: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"reconcile": {"workers": 0}, "nonsense": 1}))
    command = [sys.executable, "-m", "marketpipeline_operator", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "reconcile.workers: 0" in done.stderr
    assert "nonsense" in done.stderr


async def test_the_liveness_fails_when_work_has_stalled(kubernetes: Kubernetes, namespace: str) -> None:
    operator = Operator(kubernetes, settings_for(namespace, reconcile={"stalled_after": 0.2}), "test")

    async def hang(key: Key) -> float | None:
        import asyncio

        await asyncio.sleep(60)
        return None

    operator.queue = Queue(hang, ReconcileSettings(least_gap=0))
    operator.synced()
    assert operator.alive
    operator.wake((namespace, "crypto"))

    async def stalled() -> bool:
        return not operator.alive

    await eventually(stalled, "not alive")
    await operator.close()


async def test_the_liveness_fails_when_a_watch_is_deaf(
    kubernetes: Kubernetes, pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "_GRACE_SECONDS", 0.1)
    operator = Operator(kubernetes, settings_for(pipelines.namespace), "test")
    await operator._resync()
    alive = [operator.alive]
    operator.seen(await pipelines.create())
    await operator._resync()
    alive.append(operator.alive)
    await pipelines.create("unheard")
    await operator._resync()
    alive.append(operator.alive)
    assert alive == [True, True, False], "nothing there and nothing told; told of all there is; not told of one"
    await operator.close()
