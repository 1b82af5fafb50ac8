"""The whole job: what the settings ask for, as SQL."""

from __future__ import annotations

from marketpipeline.settings import JobSettings
from marketpipeline.topics import Feed, TopicKind

from marketpipeline_job.alerts import alerts
from marketpipeline_job.book import book
from marketpipeline_job.patterns import patterns
from marketpipeline_job.sql import Script
from marketpipeline_job.trades import trades

__all__ = ["script", "sources"]


def script(settings: JobSettings) -> Script:
    """Every table, view and insert of the job; a pure function."""
    found = Script()
    if Feed.BOOK in settings.feeds:
        found += book(settings)
    if Feed.TRADES in settings.feeds:
        found += trades(settings)
    if found.inserts:
        found += patterns(settings)
    return found + alerts(settings)


def sources(settings: JobSettings) -> tuple[TopicKind, ...]:
    """The topics that the job reads."""
    feeds = {Feed.BOOK: TopicKind.BOOK, Feed.TRADES: TopicKind.TRADES}
    return (*(kind for feed, kind in feeds.items() if feed in settings.feeds), TopicKind.THRESHOLDS)
