"""What the spec asks of the job once: to start without its own state, or from a state that is named.

    <checkpoint directory>/start-<pipeline>.json    what was asked for last; its time is the place's own

State that is not younger than this note is not gone on from. So what was asked for is done once, however often the job
is killed on its way to its first checkpoint, and whoever has forgotten what was done: an operator, or a cluster.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from marketpipeline.settings import JobSettings

from marketpipeline_job.runtime.files import Files

__all__ = ["Orders", "take_orders"]


@dataclass(frozen=True, slots=True)
class Orders:
    """The state to start from, the text of the last reset, and when they were noted, in ms since the epoch, or -1."""

    initial: str | None = None
    reset: str | None = None
    since: int = -1

    @property
    def words(self) -> str:
        """Why the job's own state is set aside."""
        if self.reset is None:
            return "it is older than what processing.initialSavepoint has asked for"
        return f"processing.reset is {self.reset!r}"


def take_orders(settings: JobSettings, cluster: str, root: str, files: Files) -> Orders:
    """What holds for a job with these settings, noted in the checkpoint directory.

    A field that is taken out of the spec asks for nothing: what was noted stays.
    """
    mark = hashlib.sha256(json.dumps([settings.pipeline, cluster, settings.topic_prefix]).encode()).hexdigest()[:12]
    file = f"{root}/start-{mark}.json"
    noted = _read(files.read(file))
    fields = {"initialSavepoint": settings.initial_savepoint, "reset": settings.reset}
    asked = {name: value for name, value in fields.items() if value is not None}
    if any(noted.get(name) != value for name, value in asked.items()):
        noted = {**({"reset": noted["reset"]} if "reset" in noted else {}), **asked}
        files.write(file, json.dumps(noted, indent=2).encode())
    since = max((entry.modified for entry in files.list(root) if entry.path == file), default=-1)
    return Orders(noted.get("initialSavepoint") and settings.initial_savepoint, noted.get("reset"), since)


def _read(text: bytes | None) -> dict[str, str]:
    """What was noted; nothing for a note that a crash left half written, which is then asked for again."""
    try:
        noted = json.loads(text or b"{}")
    except ValueError:
        noted = None
    return noted if isinstance(noted, dict) else {}
