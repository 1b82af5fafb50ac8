"""The readers of a pipeline, made from its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from marketpipeline.readers.reading import Reader, Readers
from marketpipeline.readers.tiers import Tiered, is_warm
from marketpipeline.registry import resolve
from marketpipeline.settings import ApiSettings
from marketpipeline.sink_kinds import ReadRank, sink_kinds

__all__ = ["readers_of"]


def readers_of(settings: ApiSettings, application: str, patience: float = 2.0) -> Readers:
    """Readers of the stores that the settings name, each made by its kind of sink.

    `application` is who asks, for the stores' own logs; `patience` is how many seconds a question may wait for a store.
    """
    kinds = sink_kinds()
    readers: list[Reader] = [
        resolve(str(kinds[name].reader))(store, application, patience)
        for name, store in settings.stores.by_kind().items()
    ]
    ranks = {reader.name: kinds[name].rank for name, reader in zip(settings.stores.by_kind(), readers, strict=True)}
    return Readers(newest=readers, history=_with_archive(readers, ranks), ranks=ranks)


def _with_archive(readers: Sequence[Reader], ranks: Mapping[str, ReadRank]) -> list[Reader]:
    """In which order the history is asked for: those that have days in the archive are asked together with it."""
    archive = next((reader for reader in readers if ranks[reader.name] is ReadRank.ARCHIVE), None)
    others = [reader for reader in readers if reader is not archive]
    ordered = sorted(others, key=lambda reader: ranks[reader.name], reverse=True)
    found = [Tiered(reader, archive) if archive is not None and is_warm(reader) else reader for reader in ordered]
    return [*found, *([archive] if archive is not None else [])]
