"""Both charts by helm on a real cluster: installed, upgraded, rolled back and removed; what is not to change does not.

Of market-stack there are images here for the stores only; theirs start as the official ones do.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template

import psycopg
import pytest

from tests.cluster.charts import OPERATOR_CHART, STACK_CHART, Release
from tests.cluster.image import OPERATOR, STORES
from tests.cluster.kubectl import Kubectl
from tests.cluster.stack import MANIFESTS, OPERATOR_NAMESPACE, await_service_account, values
from tests.conftest import PROJECT

PODS = ("market-stack-redis-0", "market-stack-timescaledb-0")
NAMESPACE_FILE = PROJECT / "manifests" / "operator" / "namespace.yaml"
CRD = "marketpipelines.marketpipeline.dev"


@pytest.fixture
def operator(kubectl_default: Kubectl, built: Callable[..., None]) -> Iterator[Release]:
    """In a namespace that takes only Pods that are `restricted`."""
    built(OPERATOR)
    kubectl_default("apply", f"--filename={NAMESPACE_FILE}")
    release = Release(kubectl_default.within(OPERATOR_NAMESPACE), OPERATOR_CHART)
    await_service_account(release.kubectl)
    try:
        yield release
    finally:
        release.uninstall()
        kubectl_default("delete", f"--filename={NAMESPACE_FILE}", "--timeout=60s", seconds=70)
        kubectl_default("delete", "crd", CRD, "--ignore-not-found", "--timeout=60s", seconds=70)


@pytest.fixture
def stack(kubectl: Kubectl, built: Callable[..., None]) -> Iterator[Release]:
    built(STORES)
    await_service_account(kubectl)
    kubectl.apply(MANIFESTS / "history.yaml", values(kubectl))
    kubectl("wait", "--for=condition=Complete", "job/history", "--timeout=60s", seconds=70)
    release = Release(kubectl, STACK_CHART)
    yield release
    release.uninstall()
    kubectl("delete", "persistentvolume", f"history-{kubectl.namespace}", "--wait=false")


@contextmanager
def history(kubectl: Kubectl, user: str, key: str) -> Iterator[psycopg.Connection[tuple[int]]]:
    """The database, with a password that the chart has made."""
    secret = kubectl.get("secret", "market-stack-timescaledb")["data"][key]
    password = base64.b64decode(secret).decode()
    with (
        kubectl.forward("service/market-stack-timescaledb", 5432) as port,
        psycopg.connect(
            host="127.0.0.1", port=port, user=user, password=password, dbname="marketpipeline", autocommit=True
        ) as connection,
    ):
        yield connection


def pods(release: Release) -> dict[str, tuple[str, int]]:
    """Of each Pod that runs its identity and how often it was restarted."""
    found = release.kubectl.get("pods", f"--selector=app.kubernetes.io/instance={release.name}")["items"]
    return {
        pod["metadata"]["name"]: (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"])
        for pod in found
    }


def test_the_stores_keep_data_and_passwords_whatever_helm_does(kubectl: Kubectl, stack: Release) -> None:
    wanted = Template((MANIFESTS / "market-stack.yaml").read_text()).substitute(values(kubectl))
    stack.install(values=wanted)
    with history(kubectl, "marketpipeline", "password") as connection:
        connection.execute("CREATE TABLE kept (a int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    with history(kubectl, "grafana", "grafana") as connection:
        assert connection.execute("SELECT a FROM kept").fetchall() == [(7,)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("DELETE FROM kept")

    first = pods(stack)
    assert first.keys() == set(PODS)
    stack.install("--set=commonLabels.team=markets", "--set=redis.maxMemory=80mb", values=wanted)
    second = pods(stack)
    assert {name for name in PODS if second[name] != first[name]} == {PODS[0]}
    assert kubectl.get("statefulset", "market-stack-timescaledb")["metadata"]["labels"]["team"] == "markets"
    stack.rollback()
    third = pods(stack)
    assert {name for name in PODS if third[name] != second[name]} == {PODS[0]}

    stack.uninstall()
    kubectl.await_gone("pods", f"--selector=app.kubernetes.io/instance={stack.name}")
    stack.install("--set=redis.enabled=false", values=wanted)
    with history(kubectl, "marketpipeline", "password") as connection:
        assert connection.execute("SELECT a FROM kept").fetchall() == [(7,)]


def test_the_operator_says_that_it_works_and_leaves_the_crd(operator: Release, tmp_path: Path) -> None:
    operator.install()
    assert re.findall(r"^Phase: +(\w+)$", operator.test(), flags=re.MULTILINE) == ["Succeeded"]
    before = pods(operator)
    operator.install("--set=commonLabels.team=markets")
    assert pods(operator) == before
    operator.uninstall()
    assert operator.kubectl.get("crd", CRD)["metadata"]["name"] == CRD
