"""How what a run needs is installed: Python environments from hashed locks, jars from a pom with pinned sums."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from marketpipeline.setup.places import Places
from marketpipeline.setup.toolchain import SetupError, say

__all__ = [
    "Installers",
    "build_lock",
    "call",
    "copy_jars",
    "index_environment",
    "resolve_jars",
    "stamp_of",
]


def call(command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a command quietly and give what it printed; raise SetupError with that when it fails."""
    parts = [str(part) for part in command]
    try:
        done = subprocess.run(parts, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    except OSError as error:
        raise SetupError(f"cannot start {parts[0]}: {error}") from error
    if done.returncode != 0:
        raise SetupError(f"{' '.join(parts)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def index_environment(python: Path) -> dict[str, str]:
    """The environment that makes uv use the package index that this machine's pip, of `python`, is configured with.

    uv reads no pip configuration. Nothing of this is ever written down: locks and commits name no index.
    """
    configured = {}
    for line in call([python, "-m", "pip", "config", "list"]).splitlines():
        key, _, value = line.partition("=")
        configured[key.rpartition(".")[2]] = value.strip("'\"")
    names = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "cert": "SSL_CERT_FILE"}
    derived = {uv: configured[pip] for pip, uv in names.items() if configured.get(pip)}
    return {**derived, **os.environ}


def build_lock(sources: Path) -> Path:
    """What the set-up needs itself before anything else."""
    return sources / "locks" / "build.txt"


def stamp_of(extra: str) -> str:
    """Name of the step, and so of the stamp, that installs an extra on demand."""
    return f"extra-{extra}"


class Installers:
    """What can be installed, each exactly as locked, from and to these places."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._lock = places.sources / "locks" / "services.txt"
        self._build = build_lock(places.sources)

    def services(self) -> None:
        """A checkout's .venv: the distribution, editable, with what a run needs.

        Of the extras on demand it has those that an earlier set-up was asked for.
        """
        python = self._environment(self._places.services)
        call([python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", self._build])
        asked = [extra for extra in self.on_demand() if (self._places.cache / "stamps" / stamp_of(extra)).exists()]
        part = self._part_of_lock(["local", *asked], "services")
        self._sync(python, part, ours=[self._places.sources])

    def extra(self, extra: str) -> None:
        """Add to the services' environment what one extra needs."""
        python = self._places.services / "bin" / "python"
        uv = self._uv()
        part = self._part_of_lock([extra], extra)
        options: list[str | Path] = [
            "--quiet",
            "--no-build-isolation",
            "--python",
            python,
            "--require-hashes",
            "-r",
            part,
        ]
        try:
            call([uv, "pip", "install", *options], env=index_environment(uv.parent / "python"))
        except SetupError as error:
            say(f"    uv could not, so pip does, which is slower: {str(error).splitlines()[-1]}")
            call([python, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--require-hashes", "-r", part])

    def flink(self) -> None:
        """The stream job's environment: PyFlink, the core without extras and the stream job."""
        jobs = self._places.sources / "flink-jobs"
        python = self._environment(self._places.flink)
        if self._places.is_checkout:
            self._sync(python, jobs / "lock.txt", ours=[self._places.sources, jobs])
            return
        call([python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", self._build])
        self._sync(python, jobs / "lock.txt", ours=[])
        self._lend(python, [*_own_files(), jobs / "marketpipeline_job"])

    def _lend(self, python: Path, ours: Sequence[Path]) -> None:
        """Let an environment import what is installed in this one: these alone, by links in a folder on its path."""
        lent = self._places.cache / "lent"
        shutil.rmtree(lent, ignore_errors=True)
        lent.mkdir(parents=True)
        for path in ours:
            (lent / path.name).symlink_to(path)
        site = call([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip()
        (Path(site) / "marketpipeline.pth").write_text(f"{lent}\n")

    def kafka_jars(self) -> None:
        """The broker."""
        copy_jars(self._places.sources / "third-party" / "kafka", self._places.kafka_jars)

    def flink_jars(self) -> None:
        """What the stream job needs beside PyFlink: the jars of its pom, and its own functions, compiled."""
        jobs, target = self._places.sources / "flink-jobs", self._places.flink_jars
        copy_jars(jobs, target)
        module = jobs / "java"
        if not self._places.is_checkout:
            module = self._places.cache / "java"
            shutil.rmtree(module, ignore_errors=True)
            shutil.copytree(jobs / "java", module)
        call(["mvn", "-q", "-B", "-ntp", "-f", module / "pom.xml", "package", "-Dmaven.test.skip=true"])
        shutil.copy(module / "target" / "marketpipeline-functions.jar", target)

    def on_demand(self) -> list[str]:
        """The extras that are heavy, and only installed for a pipeline that needs them, or for the tests."""
        pyproject = tomllib.loads((self._places.sources / "pyproject.toml").read_text())
        wanted: list[str] = pyproject["tool"]["marketpipeline"]["on-demand"]
        return wanted

    def _part_of_lock(self, extras: Sequence[str], name: str) -> Path:
        """The lock's lines that these extras need, as a file: what an image installs is chosen in the same way."""
        sources, part = self._places.sources, self._places.cache / "requirements" / f"{name}.txt"
        part.parent.mkdir(parents=True, exist_ok=True)
        choose = sources / "images" / "requirements.py"
        part.write_text(call([sys.executable, choose, sources / "pyproject.toml", self._lock, *extras]))
        return part

    def _uv(self) -> Path:
        """uv, which comes with the build tools: in a checkout's .venv, else in the stream job's environment."""
        return (self._places.services if self._places.is_checkout else self._places.flink) / "bin" / "uv"

    def _environment(self, folder: Path) -> Path:
        """The interpreter of the environment at `folder`, made again unless it is of the running Python's version."""
        python = folder / "bin" / "python"
        version = ".".join(str(part) for part in sys.version_info[:3])
        try:
            usable = call([python, "-c", "import pip, platform; print(platform.python_version())"]).strip() == version
        except SetupError:
            usable = False
        if not usable:
            call([sys.executable, "-m", "venv", "--clear", folder])
        return python

    def _sync(self, python: Path, lock: Path, *, ours: Sequence[Path]) -> None:
        """Make an environment what its lock says, then add `ours` in place: an edit is in force at once.

        Sources are built with the locked build tools, nothing is fetched that has no hash. Where uv cannot (no build of
        it for this system, say), pip installs the same files; it is slower and leaves what is no longer asked for.
        """
        uv: list[str | Path] = [self._uv(), "pip"]
        editable: list[str | Path] = [part for project in ours for part in ("--editable", project)]
        plain = ["--quiet", "--no-build-isolation"]
        hashed: list[str | Path] = ["--require-hashes", "-r"]
        try:
            environment = index_environment(self._uv().parent / "python")
            into: list[str | Path] = [*plain, "--python", python]
            call([*uv, "install", *into, *hashed, self._build], env=environment)
            call([*uv, "sync", *into, "--require-hashes", self._build, lock], env=environment)
            if ours:
                call([*uv, "install", *into, "--no-deps", *editable], env=environment)
        except SetupError as error:
            say(f"    uv could not, so pip does, which is slower: {str(error).splitlines()[-1]}")
            pip: list[str | Path] = [python, "-m", "pip", "install", *plain]
            call([*pip, *hashed, self._build])
            call([*pip, *hashed, lock])
            if ours:
                call([*pip, "--no-deps", *editable])


def _own_files() -> list[Path]:
    """This package and what says that it is installed: plugins and versions are found by that."""
    package = Path(__file__).resolve().parents[1]
    return [package, *package.parent.glob(f"{package.name}-*.dist-info")]


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
