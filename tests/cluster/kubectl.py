"""kubectl as the tests use it: apply, read, wait, forward a port, and say what is wrong with what does not start."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any

from tests.conftest import wait_for

__all__ = ["Kubectl", "KubectlError"]

_RESTARTS = "{.status.containerStatuses[*].restartCount}"


class KubectlError(Exception):
    """kubectl ended with an error; the message is what it said."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl bound to a cluster and a namespace."""

    binary: str
    kubeconfig: Path
    namespace: str = "default"

    def within(self, namespace: str) -> Kubectl:
        """The same cluster, another namespace."""
        return replace(self, namespace=namespace)

    def __call__(self, *arguments: str, stdin: str | None = None, seconds: float = 60.0) -> str:
        """What kubectl printed. Raises KubectlError."""
        __tracebackhide__ = True
        try:
            done = subprocess.run(
                self.command(*arguments), input=stdin, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise KubectlError(f"kubectl {' '.join(arguments)}: still running after {seconds:g} s") from error
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def command(self, *arguments: str) -> list[str]:
        """The command line, for what has to run beside the test."""
        return [self.binary, f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *arguments]

    def get(self, *arguments: str) -> Any:
        """`kubectl get … -o json`, parsed."""
        return json.loads(self("get", *arguments, "--output=json"))

    def apply(self, manifest: Path, values: Mapping[str, str] | None = None) -> None:
        """Apply a manifest; `${name}` in it is replaced where `values` are given."""
        text = manifest.read_text(encoding="utf-8")
        self("apply", "--filename=-", stdin=text if values is None else Template(text).substitute(values))

    def await_rollout(self, *workloads: str, seconds: float = 120.0) -> None:
        """Wait until each of these (`deployment/api`) has all its Pods Ready. Raises KubectlError."""
        __tracebackhide__ = True
        for workload in workloads:
            self("rollout", "status", workload, f"--timeout={seconds:g}s", seconds=seconds + 10)

    def execute(self, workload: str, *command: str, stdin: str | None = None, seconds: float = 60.0) -> str:
        """Run a command in a workload's container (`deployment/postgresql`) and give what it printed."""
        options = ["--stdin"] if stdin is not None else []
        return self("exec", *options, workload, "--", *command, stdin=stdin, seconds=seconds)

    @contextmanager
    def forward(self, target: str, port: int) -> Iterator[int]:
        """`kubectl port-forward`: the local port that leads to `port` of `target` (`service/api`)."""
        command = self.command("port-forward", target, f":{port}", "--address=127.0.0.1")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                found = re.search(r"127\.0\.0\.1:(\d+) ->", process.stdout.readline())
                if found is None:
                    process.kill()
                    raise KubectlError(f"port-forward {target} {port}: {process.communicate()[1].strip()}")
                yield int(found[1])
            finally:
                process.kill()

    def report(self) -> str:
        """The namespace's Pods, events and last log lines, for a person who reads why a test failed."""
        parts = [self._try("get", "pods,jobs", "--output=wide"), self._try("get", "events", "--sort-by=.lastTimestamp")]
        for pod in self._try("get", "pods", "--output=name").split():
            parts.append(f"----- {pod}\n{self._try('logs', pod, '--all-containers', '--tail=40')}")
            if re.search(r"[1-9]", self._try("get", pod, f"--output=jsonpath={_RESTARTS}")):
                parts.append(f"----- {pod}, before its restart\n{self._try('logs', pod, '--previous', '--tail=40')}")
        return "\n".join(parts)

    def _try(self, *arguments: str) -> str:
        try:
            return self(*arguments, seconds=20)
        except KubectlError as error:
            return str(error)

    def await_gone(self, *arguments: str, seconds: float = 60.0) -> None:
        """Wait until `kubectl get` of these finds nothing."""
        wait_for(
            lambda: not self("get", *arguments, "--ignore-not-found", "--output=name"),
            f"{' '.join(arguments)} is gone",
            seconds=seconds,
            every=0.2,
        )
