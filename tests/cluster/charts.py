"""The charts on the cluster, by the real helm: one release each, in the namespace that kubectl is bound to."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.kubectl import Kubectl
from tests.conftest import PROJECT
from tests.helm.marketpipeline_operator.support import Helm
from tests.support.tools import tool

__all__ = ["OPERATOR_CHART", "STACK_CHART", "Release"]

OPERATOR_CHART = PROJECT / "helm" / "marketpipeline-operator"
STACK_CHART = PROJECT / "helm" / "market-stack"


@dataclass(frozen=True)
class Release:
    """A release named like its chart, with these values (YAML) where an installation names no others."""

    kubectl: Kubectl
    chart: Path
    values: str = "{}"

    @property
    def name(self) -> str:
        return self.chart.name

    def install(self, *options: str, values: str | None = None) -> None:
        """Install it, or upgrade it to other values, and wait until its Pods are Ready."""
        given = self.values if values is None else values
        self._helm("upgrade", self.name, self.chart, "--install", "--wait", "--values=-", *options, stdin=given)

    def rollback(self) -> None:
        """To the revision before."""
        self._helm("rollback", self.name, "--wait")

    def test(self) -> str:
        """What helm says of its tests; the Pod of one that succeeds is gone at once."""
        return self._helm("test", self.name)

    def uninstall(self) -> None:
        """Remove it, with its hooks; no error where there is none."""
        self._helm("uninstall", self.name, "--ignore-not-found", "--wait")

    def _helm(self, command: str, *options: str | Path, stdin: str | None = None) -> str:
        place = (f"--namespace={self.kubectl.namespace}", f"--kubeconfig={self.kubectl.kubeconfig}", "--timeout=5m")
        with tempfile.TemporaryDirectory() as home:
            done = Helm(tool("helm"), Path(home))(command, *options, *place, stdin=stdin, seconds=320)
        assert done.returncode == 0, f"helm {command} {self.name}: {done.stderr}{done.stdout}"
        return done.stdout
