"""Plans and graphs that are kept for the next start: to make them takes longer than the rest of it.

A plan is what SQL is compiled to. It names its tables and does not say where they are; but what a dead letter tells of
its topic is part of it. So the prefix of topics is put in afterwards, and one plan serves every pipeline that computes
the same (docs/decisions/0242). A graph is what Flink runs: it holds the topics and all settings but the broker's
address, and is started without the planner (docs/decisions/0271).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from marketpipeline.settings import JobSettings

__all__ = ["Plans", "placed", "without_places"]

_log = logging.getLogger(__name__)

_KEPT = 16
_PREFIX = "@topic-prefix@"


def without_places(settings: JobSettings) -> JobSettings:
    """The settings of which a plan is made."""
    return settings.model_copy(update={"topic_prefix": _PREFIX})


def placed(text: str, settings: JobSettings) -> str:
    """The JSON of a plan for the topics of a pipeline."""
    return text.replace(_PREFIX, json.dumps(settings.topic_prefix, ensure_ascii=False)[1:-1])


class Plans:
    """A folder of plans and graphs, each a file of its key; `jars` have the functions."""

    def __init__(self, folder: Path, jars: Sequence[Path]) -> None:
        self._folder, self._jars = folder, jars

    def key(self, queries: str, told: Mapping[str, str]) -> str:
        """The same for what gives the same: queries, what Flink is told of them, its version, the functions."""
        found = hashlib.sha256(json.dumps([version("apache-flink"), queries, told], sort_keys=True).encode())
        for jar in self._jars:
            found.update(jar.read_bytes())
        return found.hexdigest()[:32]

    def get(self, key: str) -> str | None:
        """The plan, if it was kept and is whole."""
        try:
            text = (self._folder / f"{key}.json").read_text()
            json.loads(text)
        except (OSError, ValueError):
            return None
        return text

    def put(self, key: str, text: str) -> None:
        """Keep a plan and the newest of the others. A folder that cannot be written costs the next start time only."""
        self._put(f"{key}.json", text.encode())

    def graph(self, key: str) -> Path | None:
        """The file of a graph, if it was kept; it counts as new then."""
        found = self._folder / f"{key}.graph"
        if not found.is_file():
            return None
        with contextlib.suppress(OSError):
            found.touch()
        return found

    def put_graph(self, key: str, made: Path) -> None:
        """Keep a graph and the newest of the others, as `put` does a plan."""
        self._put(f"{key}.graph", made.read_bytes())

    def _put(self, name: str, content: bytes) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=f".{name}.", delete=False) as made:
                made.write(content)
            Path(made.name).replace(self._folder / name)
            alike = self._folder.glob(f"*{Path(name).suffix}")
            known = sorted(alike, key=lambda file: file.stat().st_mtime, reverse=True)
            for old in known[_KEPT:]:
                old.unlink(missing_ok=True)
        except OSError as error:
            _log.debug("%s is not kept: %s", name, error)
