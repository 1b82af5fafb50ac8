"""A chart as its tests see it: what the real helm renders, and how it refuses."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from marketpipeline_operator.names import Object
from marketpipeline_operator.settings import OperatorSettings

from tests.conftest import PROJECT

__all__ = ["CHART", "NAMESPACE", "RELEASE", "Helm", "named", "settings_of"]

CHART = PROJECT / "helm" / "marketpipeline-operator"
RELEASE = "marketpipeline-operator"
NAMESPACE = "marketpipeline-system"


@dataclass(frozen=True)
class Helm:
    """The command; whatever it keeps goes below `home`."""

    program: str
    home: Path
    chart: Path = CHART

    def __call__(
        self, *arguments: str | Path, stdin: str | None = None, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end, also when that is an error."""
        environment = {
            "HOME": str(self.home),
            "PATH": "/usr/bin:/bin",
            **{f"HELM_{kind}_HOME": str(self.home / kind) for kind in ("CACHE", "CONFIG", "DATA")},
        }
        command = [self.program, *map(str, arguments)]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False, env=environment
        )

    def render(self, release: str = RELEASE, **values: Any) -> list[Object]:
        """The objects that the chart gives with these values."""
        done = self._template(release, values)
        assert done.returncode == 0, done.stderr
        return [thing for thing in yaml.safe_load_all(done.stdout) if thing]

    def refusal(self, **values: Any) -> str:
        """What helm says against these values."""
        done = self._template(RELEASE, values)
        assert done.returncode != 0, "nothing was refused"
        return done.stderr

    def _template(self, release: str, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        options = ("--namespace", NAMESPACE, "--values", "-")
        return self("template", release, self.chart, *options, stdin=json.dumps(values))


def named(things: list[Object], kind: str) -> dict[str, Object]:
    """The objects of a kind by `name`, or `namespace/name` where they have one."""
    found = [thing for thing in things if thing["kind"] == kind]
    return {
        "/".join(filter(None, (thing["metadata"].get("namespace"), thing["metadata"]["name"]))): thing
        for thing in found
    }


def settings_of(things: list[Object]) -> OperatorSettings:
    """The settings that the operator would load."""
    (config,) = named(things, "ConfigMap").values()
    return OperatorSettings(**json.loads(config["data"]["settings.json"]))
