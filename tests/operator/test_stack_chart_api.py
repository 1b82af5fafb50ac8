"""The stack's chart on a real API server: every object is one that it takes, and passwords outlive what helm does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.market_stack.conftest import STACK
from tests.helm.marketpipeline_operator.support import Helm
from tests.operator.support import Kubectl
from tests.support.tools import tool

CASES = sorted((STACK / "ci").iterdir())
Release = Callable[..., str]


@pytest.fixture
def release(kubeconfig: Path, namespace: str, tmp_path: Path) -> Release:
    """helm in the test's namespace; there is no kubelet, so nothing is waited for and no hook runs."""
    helm = Helm(tool("helm"), tmp_path, STACK)

    def call(command: str, *options: str | Path) -> str:
        where = ("--namespace", namespace, "--kubeconfig", kubeconfig)
        done = helm(command, *options, *where)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name.partition("-")[0])
def test_the_api_server_takes_every_object(kubectl: Kubectl, release: Release, namespace: str, case: Path) -> None:
    """With no field that it does not know, and no Pod that `restricted` would refuse."""
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/warn=restricted")
    rendered = release("template", "market-stack", STACK, "--values", case)
    own = [each for each in yaml.safe_load_all(rendered) if each and each["metadata"]["namespace"] == namespace]
    options = ("--server-side", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "--filename=-")
    kubectl("apply", *options, stdin=yaml.safe_dump_all(own))


def test_passwords_outlive_upgrades_and_the_release(kubectl: Kubectl, release: Release, namespace: str) -> None:
    def secrets() -> dict[str, Any]:
        found = json.loads(kubectl("get", "secrets", f"--namespace={namespace}", "--output=json"))["items"]
        return {one["metadata"]["name"]: one["data"] for one in found if one["type"] == "Opaque"}

    values = ("--values", STACK / "ci" / "everything-values.yaml", "--set-json", "prometheus.namespaces=[]")
    notes = release("install", "market-stack", STACK, *values).partition("NOTES:")[2]
    parts = ("grafana", "redpanda-console", "prometheus", "alertmanager")
    assert set(re.findall(r"service/([\w-]+)", notes)) == {
        "crypto-api",
        "crypto-dashboard",
        *(f"market-stack-{part}" for part in parts),
    }
    assert "https://127.0.0.1:3000" in notes
    first = secrets()
    assert first.keys() >= {f"market-stack-{part}" for part in ("timescaledb", "redis", "redpanda", "clickhouse", "s3")}

    release("upgrade", "market-stack", STACK, *values, "--set", "redis.maxMemory=96mb")
    assert secrets() == first

    release("uninstall", "market-stack", "--no-hooks")
    kept = secrets()
    assert kept == {name: data for name, data in first.items() if name != "market-stack-alertmanager"}
    release("install", "market-stack", STACK, *values)
    assert secrets() == first
    release("uninstall", "market-stack", "--no-hooks")
