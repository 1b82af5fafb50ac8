"""The locks hold what the pyproject files ask for, by hash, and no address of an index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import PROJECT

LOCKS = {
    "locks/services.txt": "pyproject.toml",
    "flink-jobs/lock.txt": "flink-jobs/pyproject.toml",
}
OURS = {"marketpipeline", "marketpipeline-job"}
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def pins(lock: Path) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in PIN.findall(lock.read_text())}


def asked_for(pyproject: Path) -> list[Requirement]:
    project = tomllib.loads(pyproject.read_text())["project"]
    extras = [line for lines in project.get("optional-dependencies", {}).values() for line in lines]
    return [Requirement(line) for line in [*project["dependencies"], *extras]]


@pytest.mark.parametrize(("lock", "pyproject"), LOCKS.items(), ids=LOCKS)
def test_every_requirement_is_locked_within_its_bounds(lock: str, pyproject: str) -> None:
    locked = pins(PROJECT / lock)
    environment = {key: str(value) for key, value in default_environment().items()}
    for requirement in asked_for(PROJECT / pyproject):
        name = canonicalize_name(requirement.name)
        if name in OURS or (requirement.marker and not requirement.marker.evaluate(environment)):
            continue
        assert name in locked, f"{requirement} of {pyproject} is not in {lock}: make lock"
        assert requirement.specifier.contains(locked[name], prereleases=True), (
            f"{lock} has {name} {locked[name]}, {pyproject} asks for {requirement}: make lock"
        )


def test_the_stream_job_is_locked_with_what_the_core_asks_for() -> None:
    """The core is installed beside PyFlink, so its base dependencies must be in both locks."""
    locked = pins(PROJECT / "flink-jobs/lock.txt")
    core = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    for requirement in map(Requirement, core):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not in flink-jobs/lock.txt: make lock"
        assert requirement.specifier.contains(version, prereleases=True)


@pytest.mark.parametrize("lock", ["locks/build.txt", *LOCKS])
def test_every_pin_has_a_hash_and_no_address(lock: str) -> None:
    text = (PROJECT / lock).read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    without = [block.splitlines()[0] for block in blocks if PIN.match(block) and "--hash=sha256:" not in block]
    assert not without
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


def test_node_locks_name_no_address() -> None:
    """Only addresses of people and licences (homepage, funding) may stand in a package-lock.json, never `resolved`."""
    for lock in (PROJECT / "tests").glob("**/package-lock.json"):
        if "node_modules" not in lock.parts:
            assert '"resolved"' not in lock.read_text(), f"{lock.relative_to(PROJECT)} names a registry"


@pytest.mark.parametrize("project", ["third-party/kafka", "flink-jobs"])
def test_jar_sums_name_the_versions_of_the_pom(project: str) -> None:
    sums = (PROJECT / project / "jars.sha256").read_text()
    pom = (PROJECT / project / "pom.xml").read_text()
    dependencies = re.findall(r"<artifactId>([^<]+)</artifactId>\s*<version>([^<]+)</version>\s*</dependency>", pom)
    assert dependencies
    for artifact, version in dependencies:
        assert f"  {artifact}-{version}.jar\n" in sums, f"{project}/pom.xml and jars.sha256 differ: make lock"
