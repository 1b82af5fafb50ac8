"""Copies of what a pipeline cannot make again: where they go, and which one a new pipeline begins with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from marketpipeline.schema import S3Access, Schedule, Url

__all__ = ["BACKED_UP", "NEEDS_A_DATABASE", "Backup", "Recovery"]

BACKED_UP = "timescale"
"""The sink whose store is copied."""
NEEDS_A_DATABASE = f"backup and recovery need a database: set sinks.{BACKED_UP}.enabled to true, or leave them out"

_Place = Annotated[
    str,
    StringConstraints(max_length=1024),
    Url("s3", "file", host=False, path=r"[^\s?#]+", shape="s3://bucket/path or file:///path"),
]


class Backup(S3Access):
    """A copy of the database, of how far its sink has read, and of the job's newest savepoint that is kept.

    One machine takes none: its whole state is one folder.
    """

    url: _Place = Field(
        description="Where backups go: s3://bucket/path. Each is a folder of its own, `<pipeline>/<time>` below it.",
        examples=["s3://backups/market-data", "file:///backups"],
    )
    schedule: Schedule = Field(default="0 2 * * *", description="When one is taken, in cron's form and UTC.")
    keep: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=7, description="How many are kept; the oldest is removed when one more is complete."
    )


class Recovery(S3Access):
    """The backup that a new pipeline begins with. It is read once; the sink into the database waits for that."""

    url: _Place = Field(
        description="One backup: s3://bucket/path/<pipeline>/<time>.",
        examples=["s3://backups/market-data/crypto/20261101T020000Z", "file:///backups/crypto/20261101T020000Z"],
    )
