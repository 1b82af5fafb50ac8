"""The chart on a real API server: installed into one namespace, upgraded with its CRD, uninstalled without it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from marketpipeline_operator.crd import NAME

from tests.conftest import wait_for
from tests.helm.marketpipeline_operator.support import CHART, Helm
from tests.operator.support import Kubectl
from tests.support.tools import tool

RELEASE = "marketpipeline-operator"
OLD, NEW = "The whole in a few words.", "The whole in one word."
Release = Callable[..., str]


@pytest.fixture
def release(kubectl: Kubectl, kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Release]:
    """helm on a release of the chart in the test's namespace, which takes only Pods that keep to `restricted`."""
    helm = Helm(tool("helm"), tmp_path)
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")

    def call(*arguments: str | Path) -> str:
        where = ("--namespace", namespace, "--kubeconfig", kubeconfig)
        done = helm(*arguments, *where, stdin=json.dumps({"namespaces": [namespace]}))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    yield call
    call("uninstall", RELEASE, "--ignore-not-found")


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The chart as of an earlier release, with another word in its CRD."""
    chart = tmp_path / "older"
    shutil.copytree(CHART, chart)
    crd = chart / "templates" / "crd.yaml"
    assert NEW in crd.read_text()
    crd.write_text(crd.read_text().replace(NEW, OLD))
    return chart


def test_a_release_is_installed_upgraded_and_uninstalled(
    kubectl: Kubectl, release: Release, namespace: str, older: Path
) -> None:
    def get(*what: str) -> Any:
        return json.loads(kubectl("get", *what, f"--namespace={namespace}", "--output=json"))

    def phase_column() -> str:
        columns = get("crd", NAME)["spec"]["versions"][0]["additionalPrinterColumns"]
        described: str = columns[0]["description"]
        return described

    # The CRD that the other tests use is there already: the release takes it over, as it would from `kubectl apply`.
    options = ("--values", "-", "--take-ownership", "--wait=false")
    notes = release("install", RELEASE, older, *options)
    assert f"serves the namespace {namespace}:" in notes
    assert phase_column() == OLD
    pods = wait_for(lambda: get("pods")["items"], "a Pod that the namespace takes")
    assert pods[0]["spec"]["containers"][0]["image"].startswith("marketpipeline/operator:")

    account = f"--as=system:serviceaccount:{namespace}:{RELEASE}"
    for verb, resource in (("create", "deployments"), ("patch", "marketpipelines/status"), ("update", "leases")):
        assert kubectl("auth", "can-i", verb, resource, account, f"--namespace={namespace}").strip() == "yes"
    refused = kubectl("auth", "can-i", "list", "marketpipelines", account, "--namespace=default", status=1)
    assert "no" in refused.splitlines()

    release("upgrade", RELEASE, CHART, *options)
    assert phase_column() == NEW

    pipeline = {
        "apiVersion": "marketpipeline.dev/v1alpha1",
        "kind": "MarketPipeline",
        "metadata": {"name": "crypto", "namespace": namespace},
        "spec": {"symbols": ["binance:BTCUSDT"]},
    }
    kubectl.apply(pipeline)
    release("uninstall", RELEASE, "--wait")
    assert (
        get("deployments,roles,rolebindings,serviceaccounts", f"--selector=app.kubernetes.io/instance={RELEASE}")[
            "items"
        ]
        == []
    )
    assert phase_column() == NEW
    assert get("mp", "crypto")["spec"]["symbols"] == ["binance:BTCUSDT"]
