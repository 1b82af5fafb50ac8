"""`spec.sinks`: a field for each kind of sink of the registry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model

from marketpipeline.schema import SpecModel
from marketpipeline.sink_kinds import ReadRank, SinkKind, SinkSpec, sink_kinds

__all__ = ["SinkSpecs", "Sinks"]


class SinkSpecs(SpecModel):
    """Base of `Sinks`, which has the fields."""

    def of(self, name: str) -> Any:
        """What is said of a kind of sink, or None where nothing is and nothing has to be. Raises AttributeError."""
        return getattr(self, name)

    def enabled(self) -> Iterator[tuple[SinkKind, SinkSpec]]:
        """The sinks that run, each with what is said of it."""
        for kind in sink_kinds().values():
            sink: SinkSpec | None = self.of(kind.name)
            if sink is not None and sink.enabled:
                yield kind, sink

    @property
    def has_archive(self) -> bool:
        """Whether a sink keeps what the others give up."""
        return any(kind.rank is ReadRank.ARCHIVE for kind, _ in self.enabled())


def _field(kind: SinkKind) -> Any:
    """A section with a default where it needs none to be written; else one that is absent until it is."""
    description = f"{kind.title}."
    if kind.opt_in or any(field.is_required() for field in kind.spec.model_fields.values()):
        return (kind.spec | None, Field(default=None, description=description))
    return (kind.spec, Field(default_factory=kind.spec, description=description))


if TYPE_CHECKING:
    Sinks = SinkSpecs
else:
    Sinks = create_model(
        "Sinks",
        __base__=SinkSpecs,
        __doc__="Where the results are stored.",
        **{kind.name: _field(kind) for kind in sink_kinds().values()},
    )
