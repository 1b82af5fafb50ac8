"""What a release would run: no image without its papers and a scan, and values that pin every one of them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml
from kind import images
from marketpipeline import __version__
from release import main, pinned

from tests.conftest import PROJECT
from tests.helm.marketpipeline_operator.support import Helm
from tests.support.tools import tool

REGISTRY = "registry.example/team"


def test_every_image_has_its_papers_and_is_scanned_before_the_charts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([REGISTRY, "--dry-run"]) == 0
    found = [shlex.split(line.removeprefix("+ ")) for line in capsys.readouterr().out.splitlines()]
    built = {one[one.index("--tag") + 1]: one for one in found if one[:3] == ["docker", "buildx", "build"]}
    assert built.keys() == {*images(REGISTRY), f"{REGISTRY}/bundle:{__version__}"}
    for command in built.values():
        assert {"--sbom=true", "--provenance=mode=max", "--push"} <= set(command)
        assert (PROJECT / command[command.index("--file") + 1]).is_file()
    scanned = {one[-1]: found.index(one) for one in found if one[0] == "trivy"}
    assert scanned.keys() == images(REGISTRY).keys()
    assert max(scanned.values()) < min(found.index(one) for one in found if one[0] == "helm")
    assert all(image.startswith(f"{REGISTRY}/") for image in built)


def test_the_operators_chart_runs_nothing_but_what_is_pinned(tmp_path: Path) -> None:
    digests = {image: f"sha256:{number:064x}" for number, image in enumerate(images(REGISTRY))}
    values = tmp_path / "digests.yaml"
    values.write_text(yaml.safe_dump(pinned(REGISTRY, digests)))
    chart = str(PROJECT / "helm" / "marketpipeline-operator")
    rendered = Helm(tool("helm"), tmp_path)("template", "it", chart, "--values", str(values))
    assert rendered.returncode == 0, rendered.stderr
    for image, digest in digests.items():
        name = image.rpartition(":")[0]
        assert (f"{name}@{digest}" in rendered.stdout) == (not name.endswith("/simulator")), name
        assert image not in rendered.stdout
