"""Numbered migrations of a store's schema: files `NNNN_name.sql` in a folder `migrations` beside its sink.

A migration is never edited once released; a change is a new file. How they are applied is each store's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from marketpipeline.errors import PermanentError

__all__ = ["Migration", "in_package", "missing"]


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    sql: str


def in_package(package: str) -> tuple[Migration, ...]:
    """Every migration of a sink, in order."""
    folder = resources.files(package) / "migrations"
    found = [
        Migration(int(file.name[:4]), file.name[5:-4], file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    ]
    return tuple(sorted(found, key=lambda migration: migration.version))


def missing(known: Sequence[Migration], present: int, schema: str) -> list[Migration]:
    """Those that a store at version `present` lacks; `schema` names the store's in an error.

    Raises PermanentError when a newer release has made it, whose tables this one would misread.
    """
    newest = known[-1].version
    if present > newest:
        raise PermanentError(
            f"{schema} is version {present}, this release knows up to {newest}: "
            f"run the release that made it, or a newer one"
        )
    return [migration for migration in known if migration.version > present]
