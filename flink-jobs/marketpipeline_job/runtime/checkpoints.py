"""The folder of checkpoints of an embedded Flink: which one to go on from, and whether it fits.

Flink writes `<job id>/chk-<n>/` and, when it is stopped in order, `savepoint-<id>/`; one that is complete holds
`_metadata`. Beside them lies `queries`, the fingerprint of the SQL that the state belongs to.
On a cluster the platform chooses the checkpoint.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.settings import JobSettings

from marketpipeline_job.job import script

__all__ = ["CheckpointFolder", "fingerprint"]


def fingerprint(settings: JobSettings) -> str:
    """Hash of what the state depends on: the queries, without the thresholds in them and without addresses."""
    queries = script(settings.model_copy(update={"thresholds": dict.fromkeys(settings.thresholds, 1.0)}))
    text = "\n".join((*map(str, queries.views), *queries.inserts, settings.state_backend))
    return hashlib.sha256(text.encode()).hexdigest()


class CheckpointFolder:
    """An open folder. Raises InvalidInput for one that is not local or cannot be written."""

    def __init__(self, settings: JobSettings) -> None:
        self._fingerprint = fingerprint(settings)
        address = urlsplit(settings.checkpoint_directory)
        if address.scheme not in ("", "file"):
            raise _wrong(settings.checkpoint_directory, "must be a local folder (file:///…) where Flink is embedded")
        self.path = Path(unquote(address.path)).absolute()
        self.temporary = self.path / "tmp"
        try:
            shutil.rmtree(self.temporary, ignore_errors=True)
            self.temporary.mkdir(parents=True)
        except OSError as error:
            raise _wrong(str(self.path), f"must be a folder that can be written: {error.strerror}") from error

    @property
    def _mark(self) -> Path:
        return self.path / "queries"

    def newest(self) -> Path | None:
        """The newest complete checkpoint or savepoint, or None: then the job starts from the topics' beginning.

        What a killed job left half written is removed. Raises InvalidInput where the state belongs to other queries.
        """
        for folder in self.path.glob("*/chk-*"):
            if not (folder / "_metadata").exists():
                shutil.rmtree(folder, ignore_errors=True)
        complete = [*self.path.glob("*/chk-*/_metadata"), *self.path.glob("savepoint-*/_metadata")]
        if not complete:
            self._mark.write_text(self._fingerprint)
            return None
        if self._mark.exists() and self._mark.read_text() != self._fingerprint:
            raise _wrong(
                str(self.path),
                "holds the state of a job with other queries (feeds, depth, windows, lateness or state backend have "
                "changed); give the old values back, or remove this folder: then all is computed again from the topics",
            )
        return max(complete, key=lambda path: path.stat().st_mtime_ns).parent

    def close(self) -> None:
        """Remove what only the running job needed, and folders of jobs that hold nothing any more."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        for folder in sorted(self.path.glob("*/*"), reverse=True):
            if folder.name in ("shared", "taskowned") and not any(folder.iterdir()):
                folder.rmdir()
        for folder in self.path.iterdir():
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _wrong(value: str, expected: str) -> InvalidInput:
    return InvalidInput("settings", [Problem("checkpoint_directory", value, expected)])
