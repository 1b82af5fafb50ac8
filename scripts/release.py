"""A release: `.venv/bin/python scripts/release.py REGISTRY`, e.g. ghcr.io/somebody/marketpipeline.

Every image is built and pushed with its bill of materials (SPDX) and its provenance (SLSA) beside it, and scanned: one
with a known vulnerability of a high severity that a newer package mends ends the release before its chart is there.
Then come the charts, the bundle with these images by digest, and dist/digests.yaml: values for the operator's chart
that pin them. It takes Docker with a builder of buildx that builds for all platforms and keeps attestations
(`docker buildx create --use`), trivy and helm, logged in to the registry. `--dry-run` only prints the commands.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml
from kind import ROOT, images
from marketpipeline import __version__

__all__ = ["bundle", "main", "of_images", "of_installers", "pinned"]

DIST = ROOT / "dist"
OLM = ROOT / "manifests" / "olm"
_VERSION = "manifests/marketpipeline-operator.clusterserviceversion.yaml"
_SETTINGS = "manifests/settings.configmap.yaml"
CHARTS = ("marketpipeline-operator", "market-stack")
PLATFORMS = "linux/amd64,linux/arm64"
NO_COMPONENTS = ("operator", "simulator")
"""Images that no pipeline has Pods of."""

Command = list[str]


def of_images(registry: str, platforms: str) -> Iterator[Command]:
    """The images, and what is known against each, on every platform."""
    for image, given in images(registry).items():
        yield [*_build(image, platforms), *given]
    for image in images(registry):
        yield from (_scan(image, platform) for platform in platforms.split(","))


def of_installers(registry: str) -> Iterator[Command]:
    """What installs them."""
    for chart in CHARTS:
        yield ["helm", "package", f"helm/{chart}", "--destination", str(DIST)]
        yield ["helm", "push", str(DIST / f"{chart}-{__version__}.tgz"), f"oci://{registry}/charts"]
    image, folder = f"{registry}/bundle:{__version__}", str(DIST / "olm")
    yield ["docker", "buildx", "build", "--file", f"{folder}/bundle.Dockerfile", "--tag", image, "--push", folder]


def pinned(registry: str, digests: Mapping[str, str]) -> dict[str, object]:
    """Values of the operator's chart by which nothing runs but these; `digests` by the image's name and tag."""
    known = {image.rpartition(":")[0].removeprefix(f"{registry}/"): digest for image, digest in digests.items()}
    operator = {"repository": f"{registry}/operator", "digest": known["operator"]}
    components = {name: f"{registry}/{name}@{digest}" for name, digest in known.items() if name not in NO_COMPONENTS}
    return {"image": operator, "images": {"registry": registry, "overrides": components}}


def _build(image: str, platforms: str) -> Command:
    attested = ["--sbom=true", "--provenance=mode=max", "--metadata-file", str(_metadata(image))]
    return ["docker", "buildx", "build", "--platform", platforms, *attested, "--push"]


def _scan(image: str, platform: str) -> Command:
    wanted = ["--severity", "HIGH,CRITICAL", "--ignore-unfixed", "--exit-code", "1"]
    return ["trivy", "image", "--platform", platform, *wanted, image]


def bundle(registry: str, digests: Mapping[str, str]) -> dict[str, str]:
    """The files of manifests/olm, by their paths there, with the images of this release in place of those by tag."""
    files = {str(path.relative_to(OLM)): path.read_text() for path in sorted(OLM.rglob("*")) if path.is_file()}
    service = files[_VERSION]
    for (plain, _), (image, digest) in zip(images().items(), digests.items(), strict=True):
        service = service.replace(plain, f"{image.rpartition(':')[0]}@{digest}")
    settings = yaml.safe_load(files[_SETTINGS])
    settings["data"]["settings.json"] = json.dumps({"images": pinned(registry, digests)["images"]})
    return files | {_VERSION: service, _SETTINGS: yaml.safe_dump(settings, sort_keys=False)}


def _write(registry: str) -> None:
    """What follows from the digests."""
    digests = {image: json.loads(_metadata(image).read_text())["containerimage.digest"] for image in images(registry)}
    (DIST / "digests.yaml").write_text(yaml.safe_dump(pinned(registry, digests)))
    for path, text in bundle(registry, digests).items():
        (DIST / "olm" / path).parent.mkdir(parents=True, exist_ok=True)
        (DIST / "olm" / path).write_text(text)


def _metadata(image: str) -> Path:
    """What buildx says of an image that it has pushed."""
    return DIST / f"{image.rpartition('/')[2].replace(':', '-')}.json"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("registry", help="registry and path that the images are below")
    parser.add_argument("--platforms", default=PLATFORMS, help=f"what the images run on (default: {PLATFORMS})")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run none")
    parsed = parser.parse_args(arguments)
    if not parsed.dry_run and (absent := [name for name in ("docker", "trivy", "helm") if not shutil.which(name)]):
        parser.error(f"{', '.join(absent)}: not found; install what a release takes")
    DIST.mkdir(exist_ok=True)
    if status := _run(of_images(parsed.registry, parsed.platforms), parsed.dry_run):
        return status
    if not parsed.dry_run:
        _write(parsed.registry)
    return _run(of_installers(parsed.registry), parsed.dry_run)


def _run(commands: Iterator[Command], dry: bool) -> int:
    """Until one fails; its status."""
    for command in commands:
        print(f"+ {shlex.join(command)}", flush=True)
        if not dry and (status := subprocess.run(command, cwd=ROOT, check=False).returncode):
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
