"""What a release would run: no image without its papers and a scan, and values that pin every one of them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from kind import images
from marketpipeline import __version__
from marketpipeline_operator.settings import OperatorSettings
from release import bundle, main, pinned

from tests.conftest import PROJECT
from tests.helm.marketpipeline_operator.support import Helm
from tests.support.tools import tool

REGISTRY = "registry.example/team"


def test_every_image_has_its_papers_and_is_scanned_before_the_charts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([REGISTRY, "--dry-run"]) == 0
    found = [shlex.split(line.removeprefix("+ ")) for line in capsys.readouterr().out.splitlines()]
    built = {one[one.index("--tag") + 1]: one for one in found if one[:3] == ["docker", "buildx", "build"]}
    assert list(built) == [*images(REGISTRY), f"{REGISTRY}/bundle:{__version__}"]
    for image in images(REGISTRY):
        assert {"--sbom=true", "--provenance=mode=max", "--push"} <= set(built[image])
        assert (PROJECT / built[image][built[image].index("--file") + 1]).is_file()
    scanned = [(one[-1], one[one.index("--platform") + 1]) for one in found if one[0] == "trivy"]
    assert scanned == [(image, place) for image in images(REGISTRY) for place in ("linux/amd64", "linux/arm64")]
    ways = [one[0] for one in found]
    assert ways.index("helm") > len(ways) - 1 - ways[::-1].index("trivy")


def test_the_bundle_installs_what_was_released() -> None:
    digests = {image: f"sha256:{number:064x}" for number, image in enumerate(images(REGISTRY))}
    files = bundle(REGISTRY, digests)
    (service,) = (yaml.safe_load(text) for path, text in files.items() if "clusterserviceversion" in path)
    (settings,) = (yaml.safe_load(text) for path, text in files.items() if "settings" in path)
    used = re.findall(r"[\w./-]+/(?:[a-z-]+)(?:@sha256:[0-9a-f]{64}|:0\.1\.0)", json.dumps([service, settings]))
    assert len(set(used)) == len(digests) - 1, "all but the simulator"
    assert [image for image in used if not image.startswith(f"{REGISTRY}/") or "@" not in image] == []
    OperatorSettings.model_validate(json.loads(settings["data"]["settings.json"]))


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
