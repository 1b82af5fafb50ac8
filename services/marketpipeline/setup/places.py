"""Where the set-up finds what it installs from, and where it puts things."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from marketpipeline.setup.toolchain import SetupError

__all__ = ["Places", "places"]

_HERE = Path(__file__).resolve().parent
_PARTS = _HERE / "parts"
_CHECKOUT = _HERE.parents[2]


@dataclass(frozen=True, slots=True)
class Places:
    """`sources` has locks, poms and the stream job at the places that a checkout has them; nothing is written there.

    `services` is the environment of the services, `flink` that of the stream job. `cache` holds jars and stamps.
    """

    sources: Path
    services: Path
    flink: Path
    cache: Path
    is_checkout: bool

    @property
    def quickstart(self) -> Path:
        """The pipeline that is run where none is named."""
        return self.sources / "manifests" / "quickstart.yaml"

    @property
    def kafka_jars(self) -> Path:
        """Folder of the broker's jars."""
        return self.cache / "jars" / "kafka"

    @property
    def flink_jars(self) -> Path:
        """Folder of the connector's jar and of the stream job's functions."""
        return self.cache / "jars" / "flink"

    @property
    def flink_python(self) -> Path:
        """The stream job's Python."""
        return self.flink / "bin" / "python"


def places() -> Places:
    """Those of the checkout that this package is in; of an installed package they are in its environment.

    So an environment that is removed takes everything with it. Raises SetupError where there is neither.
    """
    if not _PARTS.is_dir():
        if not ((_CHECKOUT / "pyproject.toml").is_file() and (_CHECKOUT / "locks").is_dir()):
            raise SetupError(
                "this installation cannot set up a run: it is neither a checkout nor the whole wheel (an image has its "
                "own component alone)"
            )
        cache, jobs = _CHECKOUT / ".cache", _CHECKOUT / "flink-jobs"
        return Places(_CHECKOUT, _CHECKOUT / ".venv", jobs / ".venv", cache, is_checkout=True)
    prefix = Path(sys.prefix)
    cache = prefix / "lib" / "marketpipeline"
    return Places(_PARTS, prefix, cache / "flink", cache, is_checkout=False)
