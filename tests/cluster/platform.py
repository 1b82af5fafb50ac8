"""Where the cluster suite runs: the project's own one-node Kubernetes, or kind where Docker is present.

`MARKETPIPELINE_TEST_CLUSTER=kind` switches; nothing else in the suite knows which one it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import yaml

from tests.cluster.image import Image
from tests.conftest import PROJECT
from tests.support import captures

__all__ = ["KEEP", "SWITCH", "Cluster", "ClusterError", "Kind", "OneNode", "chosen_cluster", "running_cluster"]

SWITCH = "MARKETPIPELINE_TEST_CLUSTER"
KEEP = "MARKETPIPELINE_TEST_CLUSTER_KEEP"
_KUBE = PROJECT / "tests" / "cluster" / "kube" / "kube"
_FIRST_BUILD_SECONDS = 1200


class ClusterError(Exception):
    """A command that makes the cluster or an image failed; the message holds its output."""


def _call(command: Sequence[str | Path], *, seconds: float, env: Mapping[str, str] | None = None) -> str:
    """What a command printed on standard output; ClusterError with all it said when it fails or takes too long."""
    parts = [str(part) for part in command]
    try:
        done = subprocess.run(
            parts,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env={**os.environ, **(env or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{' '.join(parts)}: still running after {seconds:g} s\n{error.stderr!r}") from error
    if done.returncode:
        raise ClusterError(f"{' '.join(parts)}: status {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-8000:]}")
    return done.stdout


class Cluster(Protocol):
    """A cluster that can be made, given images, and removed. All methods raise ClusterError."""

    def missing(self) -> str | None:
        """What this machine lacks for it, as a sentence, or None."""

    def up(self) -> Path:
        """Start it, or find it running; the kubeconfig's path."""

    def kubeconfig(self) -> Path:
        """The kubeconfig of the cluster, which is up."""

    def down(self) -> None:
        """Stop it and leave nothing behind; no error where there is none."""

    def kubectl(self) -> str:
        """The kubectl to use with it."""

    def build(self, image: Image) -> None:
        """Build an image from the work tree and load it; layers and an unchanged image are reused."""

    def retag(self, image: Image, version: str) -> None:
        """Give an image that was built another tag as well."""

    def captures(self) -> str:
        """The folder of captures as a path on the node, for hostPath volumes."""


class OneNode:
    """tests/cluster/kube: Kubernetes in Linux namespaces of its own; `node=False` is the control plane only."""

    def __init__(self, name: str, *, node: bool = True) -> None:
        self._env = {"NAME": name, "NODE": str(int(node))}

    def missing(self) -> str | None:
        if os.geteuid() != 0:
            return "the one-node cluster needs root (namespaces, mounts, cgroups)"
        absent = [tool for tool in ("go", "apt-get", "unshare", "setsid") if shutil.which(tool) is None]
        return f"the one-node cluster needs {', '.join(absent)}" if absent else None

    def up(self) -> Path:
        return Path(self._kube("up", seconds=_FIRST_BUILD_SECONDS).strip().splitlines()[-1])

    def kubeconfig(self) -> Path:
        return Path(self._kube("kubeconfig", seconds=10).strip())

    def down(self) -> None:
        self._kube("down", seconds=300)

    def kubectl(self) -> str:
        return self._kube("kubectl", seconds=5).strip()

    def build(self, image: Image) -> None:
        base = self._kube("base-image", seconds=600).strip()
        self._kube("build", image.tag, image.context, *_build_options(image, {"BASE": base}), seconds=900)

    def retag(self, image: Image, version: str) -> None:
        self._kube("tag", image.tag, image.released(version).tag, seconds=60)

    def captures(self) -> str:
        return str(captures.folder())

    def _kube(self, *arguments: str | Path, seconds: float) -> str:
        return _call([_KUBE, *arguments], seconds=seconds, env=self._env)


class Kind:
    """kind, for machines with Docker; its node is a container, so the captures are mounted into it."""

    _CAPTURES = "/captures"

    def __init__(self, name: str) -> None:
        self._name = name

    def missing(self) -> str | None:
        absent = [tool for tool in ("kind", "docker", "kubectl") if shutil.which(tool) is None]
        if absent:
            return f"{SWITCH}=kind needs {', '.join(absent)}"
        try:
            _call(["docker", "info"], seconds=20)
        except ClusterError as error:
            return f"{SWITCH}=kind needs a Docker daemon: {error}"
        return None

    def up(self) -> Path:
        kubeconfig = self.kubeconfig()
        kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        config = kubeconfig.with_suffix(".yaml")
        if self._name not in _call(["kind", "get", "clusters"], seconds=30).split():
            config.write_text(yaml.safe_dump(self.config()))
            _call(
                ["kind", "create", "cluster", "--name", self._name, "--config", config, "--wait", "120s"], seconds=600
            )
        kubeconfig.write_text(_call(["kind", "get", "kubeconfig", "--name", self._name], seconds=30))
        return kubeconfig

    def kubeconfig(self) -> Path:
        return PROJECT / ".cache" / "kind" / f"{self._name}.kubeconfig"

    def config(self) -> dict[str, object]:
        """kind's configuration of one node that sees the captures."""
        node: dict[str, object] = {"role": "control-plane"}
        if (folder := captures.folder()).is_dir():
            node["extraMounts"] = [{"hostPath": str(folder), "containerPath": self._CAPTURES, "readOnly": True}]
        return {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [node]}

    def down(self) -> None:
        _call(["kind", "delete", "cluster", "--name", self._name], seconds=120)

    def kubectl(self) -> str:
        return "kubectl"

    def build(self, image: Image) -> None:
        _call(["docker", "build", "--tag", image.tag, *_build_options(image, {}), image.context], seconds=1200)
        _call(["kind", "load", "docker-image", "--name", self._name, image.tag], seconds=300)

    def retag(self, image: Image, version: str) -> None:
        again = image.released(version).tag
        _call(["docker", "tag", image.tag, again], seconds=60)
        _call(["kind", "load", "docker-image", "--name", self._name, again], seconds=300)

    def captures(self) -> str:
        return self._CAPTURES


def _build_options(image: Image, arguments: Mapping[str, str]) -> list[str | Path]:
    """The options that `buildah bud` and `docker build` share."""
    given = {**image.arguments, **arguments}
    return ["--file", image.dockerfile, *(part for name in given for part in ("--build-arg", f"{name}={given[name]}"))]


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """This clone's cluster, up, for one session alone: another one waits for its end. It stays with KEEP set."""
    found = chosen_cluster(f"tests-{hashlib.sha1(str(PROJECT).encode()).hexdigest()[:6]}")
    if missing := found.missing():
        raise ClusterError(missing)
    (PROJECT / ".cache").mkdir(exist_ok=True)
    with (PROJECT / ".cache" / "cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found.up()
        try:
            yield found
        finally:
            if not os.environ.get(KEEP):
                found.down()


def chosen_cluster(name: str, *, node: bool = True) -> Cluster:
    """The cluster that the environment asks for. Raises ValueError when it asks for one that does not exist."""
    choice = os.environ.get(SWITCH, "one-node")
    if choice == "one-node":
        return OneNode(name, node=node)
    if choice == "kind":
        return Kind(name)
    raise ValueError(f"{SWITCH}={choice}: must be one-node or kind")
