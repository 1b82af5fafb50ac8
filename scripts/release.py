"""A release: `.venv/bin/python scripts/release.py REGISTRY`, e.g. ghcr.io/somebody/marketpipeline.

Every image is built and pushed with its bill of materials (SPDX) and its provenance (SLSA) beside it, and scanned: one
with a known vulnerability of a high severity that a newer package mends ends the release before its chart is there.
Then come the charts and the bundle, and dist/digests.yaml: values for the operator's chart that pin all images. It
takes Docker with buildx, trivy and helm, logged in to the registry. `--dry-run` only prints the commands.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml
from kind import ROOT, images
from marketpipeline import __version__

__all__ = ["commands", "main", "pinned"]

DIST = ROOT / "dist"
CHARTS = ("marketpipeline-operator", "market-stack")
PLATFORMS = "linux/amd64,linux/arm64"
NO_COMPONENTS = ("operator", "simulator")
"""Images that no pipeline has Pods of."""

Command = list[str]


def commands(registry: str, platforms: str) -> Iterator[Command]:
    """In their order: images, what is known against them, and then what installs them."""
    for image, given in images(registry).items():
        yield [*_build(image, platforms), *given]
    for image in images(registry):
        yield _scan(image)
    for chart in CHARTS:
        yield ["helm", "package", f"helm/{chart}", "--destination", str(DIST)]
        yield ["helm", "push", str(DIST / f"{chart}-{__version__}.tgz"), f"oci://{registry}/charts"]
    bundle = f"{registry}/bundle:{__version__}"
    olm = "manifests/olm"
    yield [*_build(bundle, platforms), "--file", f"{olm}/bundle.Dockerfile", "--tag", bundle, olm]


def pinned(registry: str, digests: Mapping[str, str]) -> dict[str, object]:
    """Values of the operator's chart by which nothing runs but these; `digests` by the image's name and tag."""
    known = {image.rpartition(":")[0].removeprefix(f"{registry}/"): digest for image, digest in digests.items()}
    operator = {"repository": f"{registry}/operator", "digest": known["operator"]}
    components = {name: f"{registry}/{name}@{digest}" for name, digest in known.items() if name not in NO_COMPONENTS}
    return {"image": operator, "images": {"registry": registry, "overrides": components}}


def _build(image: str, platforms: str) -> Command:
    attested = ["--sbom=true", "--provenance=mode=max", "--metadata-file", str(_metadata(image))]
    return ["docker", "buildx", "build", "--platform", platforms, *attested, "--push"]


def _scan(image: str) -> Command:
    return ["trivy", "image", "--severity", "HIGH,CRITICAL", "--ignore-unfixed", "--exit-code", "1", image]


def _metadata(image: str) -> Path:
    """What buildx says of an image that it has pushed."""
    return DIST / f"{image.rpartition('/')[2].replace(':', '-')}.json"


def _digests(registry: str) -> dict[str, str]:
    return {image: json.loads(_metadata(image).read_text())["containerimage.digest"] for image in images(registry)}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("registry", help="registry and path that the images are below")
    parser.add_argument("--platforms", default=PLATFORMS, help=f"what the images run on (default: {PLATFORMS})")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run none")
    parsed = parser.parse_args(arguments)
    DIST.mkdir(exist_ok=True)
    for command in commands(parsed.registry, parsed.platforms):
        print(f"+ {shlex.join(command)}", flush=True)
        if not parsed.dry_run and (status := subprocess.run(command, cwd=ROOT, check=False).returncode):
            return status
    if not parsed.dry_run:
        (DIST / "digests.yaml").write_text(yaml.safe_dump(pinned(parsed.registry, _digests(parsed.registry))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
