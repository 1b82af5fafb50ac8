"""A sink that keeps trades and alerts as lines of JSON in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from marketpipeline.schema import SecretKey, Url
from marketpipeline.sink_kinds import SinkJob, SinkKind, SinkSettings, SinkSpec, StoreSettings
from marketpipeline.topics import TopicKind
from pydantic import Field, SecretStr, StringConstraints

if TYPE_CHECKING:
    from marketpipeline.spec import MarketPipeline

__all__ = ["SINK", "JsonLines", "JsonLinesSettings", "JsonLinesStore"]


class JsonLines(SinkSpec):
    """Lines of JSON in a folder."""

    url: Annotated[str, StringConstraints(max_length=2048), Url("file", host=False)] = Field(
        description="The folder.", examples=["file:///data"]
    )
    token_secret: SecretKey | None = Field(default=None, description="Where the token is that every line bears.")


class JsonLinesStore(StoreSettings):
    """The folder, and what every line bears."""

    folder: str
    token: SecretStr | None = None


class JsonLinesSettings(SinkSettings):
    """The process of this sink."""

    store: JsonLinesStore


def _store(pipeline: MarketPipeline, sink: JsonLines) -> JsonLinesStore:
    return JsonLinesStore(folder=f"{urlsplit(sink.url).path}/{pipeline.topic_prefix}")


SINK = SinkKind(
    name="jsonlines",
    title="Lines of JSON in a folder",
    spec=JsonLines,
    settings=JsonLinesSettings,
    store=_store,
    topics=frozenset({TopicKind.TRADES, TopicKind.ALERTS}),
    sink="toys.jsonlines.sink:JsonLinesSink",
    summary="Write trades and alerts as lines of JSON.",
    extra="kafka",
    secrets={"token": "token_secret"},
    server="toys.jsonlines.server:in_state",
    jobs=(
        SinkJob(
            name="sweep-lines",
            target="toys.jsonlines.sink:sweep",
            summary="Remove what a killed sink has left unfinished.",
            schedule="30 4 * * *",
            timeout_seconds=60,
        ),
    ),
)
