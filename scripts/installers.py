"""How what only the tests need is installed: Node packages, tools compiled from a Go module, a file of one. Standard
library only."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

from marketpipeline.setup.installers import call
from marketpipeline.setup.toolchain import SetupError

__all__ = ["build_go_tools", "copy_from_go_module", "install_node_packages"]


def install_node_packages(folder: Path) -> None:
    """The packages of `folder`'s package-lock.json, for the one test suite there."""
    if shutil.which("npm") is None:
        raise SetupError("npm is absent (Node 20 or newer); the tests that need it skip, and fail in CI")
    call(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder)


def build_go_tools(module: Path, target: Path) -> None:
    """The tools that a Go module lists, at the versions of its go.mod and go.sum, as static programs in `target`."""
    if shutil.which("go") is None:
        raise SetupError("go is absent (1.24 or newer); the tests that need helm skip, and fail in CI")
    # A helm that is not built by its own Makefile takes itself for one of an old Kubernetes.
    versions = dict(re.findall(r"^\s*(\S+) v(\S+)", (module / "go.mod").read_text(), flags=re.MULTILINE))
    helm, minor = versions["helm.sh/helm/v3"], versions["k8s.io/client-go"].split(".")[1]
    package = "helm.sh/helm/v3"
    known = {f"{package}/internal/version.version": f"v{helm}"}
    for place in ("pkg/chartutil", "pkg/lint/rules"):
        known |= {f"{package}/{place}.k8sVersionMajor": "1", f"{package}/{place}.k8sVersionMinor": minor}
    flags = " ".join(["-s -w", *(f"-X {name}={value}" for name, value in known.items())])
    target.mkdir(parents=True, exist_ok=True)
    call(
        ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", f"{target}/", "tool"],
        cwd=module,
        env={**os.environ, "CGO_ENABLED": "0"},
    )


def copy_from_go_module(module: str, file: str, digest: str, target: Path) -> None:
    """One file of `module@version` with this SHA-256."""
    if shutil.which("go") is None:
        raise SetupError("go is absent (1.24 or newer); the test that needs the file skips, and fails in CI")
    folder = json.loads(call(["go", "mod", "download", "-json", module]))["Dir"]
    content = (Path(folder) / file).read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise SetupError(f"{file} of {module} is not the one that was tested with: its SHA-256 is not {digest}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
