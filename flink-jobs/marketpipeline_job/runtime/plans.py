"""Plans that are kept for the next start: to make one takes longer than the rest of a start (docs/decisions/0242).

A plan names its tables and does not say where they are; but what a dead letter tells of its topic is part of it. So the
prefix of topics is put in afterwards, and one plan serves every pipeline that computes the same.
"""

from __future__ import annotations

import hashlib
import json
import logging
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
    """A folder of plans, each a file of its key; `jars` have the functions."""

    def __init__(self, folder: Path, jars: Sequence[Path]) -> None:
        self._folder, self._jars = folder, jars

    def key(self, queries: str, configuration: Mapping[str, str]) -> str:
        """The same for what gives the same plan: queries, what the planner is told, Flink, the functions."""
        told = {key: value for key, value in configuration.items() if key.startswith("table.")}
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
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            made = self._folder / f".{key}.tmp"
            made.write_text(text)
            made.replace(self._folder / f"{key}.json")
            known = sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
            for old in known[_KEPT:]:
                old.unlink(missing_ok=True)
        except OSError as error:
            _log.debug("a plan is not kept: %s", error)
