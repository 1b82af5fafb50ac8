"""The images that the cluster runs: the project's own by their Dockerfiles, and the test's servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from marketpipeline import __version__
from marketpipeline.plan import programs
from marketpipeline_operator.settings import COMPONENTS_VERSION

from tests.conftest import PROJECT

__all__ = ["COMPONENTS", "KAFKA", "OPERATOR", "REGISTRY", "S3", "SIMULATOR", "STORES", "STREAM_JOB", "TAG", "Image"]

REGISTRY = "marketpipeline"
TAG = COMPONENTS_VERSION
"""What the operator asks for when nobody says otherwise; the operator's own image has the version of the project."""
_SERVICES = PROJECT / "images" / "services" / "Dockerfile"
_TEST_IMAGES = PROJECT / "tests" / "cluster" / "images"


@dataclass(frozen=True)
class Image:
    """What `docker build` has to be told. BASE is not among the arguments: each kind of cluster has its own."""

    name: str
    dockerfile: Path
    arguments: Mapping[str, str] = field(default_factory=dict)
    context: Path = PROJECT
    version: str = TAG

    @property
    def tag(self) -> str:
        return f"{REGISTRY}/{self.name}:{self.version}"

    def released(self, version: str) -> Image:
        """The same under another tag."""
        return replace(self, version=version)


COMPONENTS = tuple(
    Image(component, _SERVICES, {"COMPONENT": program.extra}) for component, program in programs().items()
)
"""An image for each component of a plan but the stream job, named after it, with the extra that its command needs."""

SIMULATOR = Image("simulator", _SERVICES, {"COMPONENT": "simulator"})
STREAM_JOB = Image("stream-job", PROJECT / "images" / "flink-job" / "Dockerfile")
OPERATOR = Image("operator", PROJECT / "images" / "operator" / "Dockerfile", version=__version__)
KAFKA = Image("test-kafka", _TEST_IMAGES / "kafka" / "Dockerfile")
STORES = Image("test-stores", _TEST_IMAGES / "stores" / "Dockerfile")
S3 = Image("test-s3", _TEST_IMAGES / "s3" / "Dockerfile", context=PROJECT / ".venv" / "bin")
