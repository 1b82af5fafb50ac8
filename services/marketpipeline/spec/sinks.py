"""`spec.sinks`: a field for each kind of sink of the registry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model

from marketpipeline.record_kinds import kind_in
from marketpipeline.schema import SpecModel
from marketpipeline.sink_kinds import ReadRank, SinkKind, SinkSpec, sink_kinds
from marketpipeline.topics import Feed

__all__ = ["FEEDS_NEEDED", "SinkSpecs", "Sinks", "needs_a_feed"]


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


def _feeds_needed(kind: SinkKind) -> list[Feed]:
    """The feeds of which a sink needs one; none where some of what it reads is there whatever is followed."""
    of_topics = [kind_in(topic).feeds for topic in kind.topics]
    return sorted({feed for feeds in of_topics for feed in feeds or ()}) if None not in of_topics else []


FEEDS_NEEDED = {name: feeds for name, kind in sink_kinds().items() if (feeds := _feeds_needed(kind))}
"""By kind of sink the feeds of which it needs one: all topics that it reads are made of these."""


def needs_a_feed(sink: str) -> str:
    """What is wrong with a sink for which there will never be anything."""
    needed = " or ".join(FEEDS_NEEDED[sink])
    return f"sinks.{sink}.enabled needs {needed} among the feeds, which all that it takes is made of: name one"


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
