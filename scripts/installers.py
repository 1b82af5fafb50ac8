"""How each thing is installed: Python environments from hashed locks, jars from a pom with pinned sums, Node packages.

Standard library only, since nothing is installed yet when it runs.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolchain import SetupError

__all__ = [
    "BUILD_LOCK",
    "CACHE",
    "FLINK",
    "ROOT",
    "SERVICES",
    "build_flink_jars",
    "build_go_tools",
    "call",
    "copy_jars",
    "index_environment",
    "install_extra",
    "install_flink",
    "install_node_packages",
    "install_services",
    "on_demand",
    "resolve_jars",
    "stamp_of",
]

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
SERVICES = ROOT / ".venv"
FLINK = ROOT / "flink-jobs" / ".venv"
BUILD_LOCK = ROOT / "locks" / "build.txt"


def call(command: Sequence[str | Path], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """Run a command quietly and give what it printed; raise SetupError with that when it fails."""
    parts = [str(part) for part in command]
    try:
        done = subprocess.run(parts, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    except OSError as error:
        raise SetupError(f"cannot start {parts[0]}: {error}") from error
    if done.returncode != 0:
        raise SetupError(f"{' '.join(parts)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def index_environment() -> dict[str, str]:
    """The environment that makes uv use the package index that this machine's pip is configured with.

    uv reads no pip configuration. Nothing of this is ever written down: locks and commits name no index.
    """
    configured = {}
    for line in call([SERVICES / "bin" / "python", "-m", "pip", "config", "list"]).splitlines():
        key, _, value = line.partition("=")
        configured[key.rpartition(".")[2]] = value.strip("'\"")
    names = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "cert": "SSL_CERT_FILE"}
    derived = {uv: configured[pip] for pip, uv in names.items() if configured.get(pip)}
    return {**derived, **os.environ}


def install_services() -> None:
    """.venv: the root's distribution with its extras and the test tools, exactly as locked.

    Of the extras on demand it has those that an earlier set-up was asked for.
    """
    python = _environment(SERVICES)
    call([python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", BUILD_LOCK])
    late = on_demand()
    asked = [extra for extra in late if (CACHE / "stamps" / stamp_of(extra)).exists()]
    _sync(python, _part_of_lock([*sorted(_extras().keys() - set(late)), *asked], "services"), ours=[ROOT])


def install_extra(extra: str) -> None:
    """Add to .venv what one extra needs, exactly as locked."""
    uv: list[str | Path] = [SERVICES / "bin" / "uv", "pip", "install", "--quiet", "--no-build-isolation"]
    part = _part_of_lock([extra], extra)
    call([*uv, "--python", SERVICES / "bin" / "python", "--require-hashes", "-r", part], env=index_environment())


def on_demand() -> list[str]:
    """The extras that are heavy, and only installed for a pipeline that needs them, or for the tests."""
    wanted: list[str] = _pyproject()["tool"]["marketpipeline"]["on-demand"]
    return wanted


def stamp_of(extra: str) -> str:
    """Name of the step, and so of the stamp, that installs an extra on demand."""
    return f"extra-{extra}"


def _pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _extras() -> dict[str, list[str]]:
    extras: dict[str, list[str]] = _pyproject()["project"]["optional-dependencies"]
    return extras


def _part_of_lock(extras: Sequence[str], name: str) -> Path:
    """The lines of the lock that these extras need, as a file: what an image installs is chosen in the same way."""
    choose, lock = ROOT / "images" / "requirements.py", ROOT / "locks" / "services.txt"
    part = CACHE / "requirements" / f"{name}.txt"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(call([sys.executable, choose, ROOT / "pyproject.toml", lock, *extras]))
    return part


def install_flink() -> None:
    """flink-jobs/.venv: PyFlink, the core without extras and the stream job, exactly as locked."""
    _sync(_environment(FLINK), ROOT / "flink-jobs" / "lock.txt", ours=[ROOT, ROOT / "flink-jobs"])


def _environment(folder: Path) -> Path:
    """The interpreter of the environment at `folder`, made again unless it is one of the running Python's version."""
    python = folder / "bin" / "python"
    version = ".".join(str(part) for part in sys.version_info[:3])
    try:
        usable = call([python, "-c", "import pip, platform; print(platform.python_version())"]).strip() == version
    except SetupError:
        usable = False
    if not usable:
        call([sys.executable, "-m", "venv", "--clear", folder])
    return python


def _sync(python: Path, lock: Path, *, ours: Sequence[Path]) -> None:
    """Make an environment what its lock says, then add our own distributions in place: an edit is in force at once.

    Sources are built with the locked build tools, nothing is fetched that has no hash. Where uv cannot (no build of
    it for this system, say), pip installs the same files; it is slower and leaves what is no longer asked for.
    """
    uv: list[str | Path] = [SERVICES / "bin" / "uv", "pip"]
    editable: list[str | Path] = [part for project in ours for part in ("--editable", project)]
    plain = ["--quiet", "--no-build-isolation"]
    try:
        environment = index_environment()
        call([*uv, "install", *plain, "--python", python, "--require-hashes", "-r", BUILD_LOCK], env=environment)
        call([*uv, "sync", *plain, "--python", python, "--require-hashes", BUILD_LOCK, lock], env=environment)
        call([*uv, "install", *plain, "--python", python, "--no-deps", *editable], env=environment)
    except SetupError as error:
        print(f"    uv could not, so pip does, which is slower: {str(error).splitlines()[-1]}", flush=True)
        pip: list[str | Path] = [python, "-m", "pip", "install", *plain]
        call([*pip, "--require-hashes", "-r", BUILD_LOCK])
        call([*pip, "--require-hashes", "-r", lock])
        call([*pip, "--no-deps", *editable])


def resolve_jars(project: Path, target: Path) -> dict[str, str]:
    """Copy what the pom in `project` asks for at run time into `target`; gives each file's name and SHA-256."""
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    call(["mvn", "-q", "-B", "-ntp", "-f", project / "pom.xml", *goal])
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in sorted(target.iterdir())}


def copy_jars(project: Path, target: Path) -> None:
    """Resolve a pom's jars into `target`, which afterwards holds exactly the files that jars.sha256 beside it names."""
    fresh = target.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    found = resolve_jars(project, fresh)
    pinned = {}
    for line in (project / "jars.sha256").read_text().splitlines():
        digest, name = line.split()
        pinned[name] = digest
    wrong = sorted(name for name in found.keys() | pinned.keys() if found.get(name) != pinned.get(name))
    if wrong:
        raise SetupError(
            f"not as {project / 'jars.sha256'} says: {', '.join(wrong)}; after a change of the pom: make lock"
        )
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def build_flink_jars(project: Path, target: Path) -> None:
    """What the stream job needs beside PyFlink: the jars of its pom, and its own functions, compiled."""
    copy_jars(project, target)
    module = project / "java"
    call(["mvn", "-q", "-B", "-ntp", "-f", module / "pom.xml", "package", "-Dmaven.test.skip=true"])
    shutil.copy(module / "target" / "marketpipeline-functions.jar", target)


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
