"""What a wheel carries beside its packages, so that a run can be set up without a checkout: hatchling's hook.

`marketpipeline.setup` finds it in `setup/parts`, each file where a checkout has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["PARTS", "WheelParts"]

PARTS = (
    "pyproject.toml",
    "locks/build.txt",
    "locks/services.txt",
    "images/requirements.py",
    "manifests/quickstart.yaml",
    "third-party/kafka/pom.xml",
    "third-party/kafka/jars.sha256",
    "flink-jobs/pyproject.toml",
    "flink-jobs/lock.txt",
    "flink-jobs/pom.xml",
    "flink-jobs/jars.sha256",
    "flink-jobs/java/pom.xml",
    "flink-jobs/java/src/main",
    "flink-jobs/marketpipeline_job",
)


class WheelParts(BuildHookInterface[Any]):
    """Adds them."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is put together; `version` is `editable` for one that only points here."""
        if version == "editable":
            return
        for part in PARTS:
            build_data["force_include"][str(Path(self.root) / part)] = f"marketpipeline/setup/parts/{part}"
