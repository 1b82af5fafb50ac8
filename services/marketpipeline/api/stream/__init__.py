"""The stream of what is computed: from the topics to any number of readers, each as fast as it reads.

    topics ─▶ Tail (a thread) ─▶ Feed ─▶ Hub ─┬─▶ Mailbox ─▶ a WebSocket
                                              └─▶ Mailbox ─▶ server-sent events

`updates` says what of a record a reader is told, `hub` keeps the newest and the last ones and hands them round,
`mailbox` is what one reader has not read yet, `tail` follows the topics, `feed` has it do so while there are readers,
and `newest` is what the stores know from before.
"""

from __future__ import annotations

from marketpipeline.api.stream.feed import Feed
from marketpipeline.api.stream.hub import Hub, Reading
from marketpipeline.api.stream.mailbox import Mail, Mailbox
from marketpipeline.api.stream.newest import newest_records
from marketpipeline.api.stream.updates import LEVELS, Batch, Wanted, event, kinds_of, levels_of, message, topics_of

__all__ = [
    "LEVELS",
    "Batch",
    "Feed",
    "Hub",
    "Mail",
    "Mailbox",
    "Reading",
    "Wanted",
    "event",
    "kinds_of",
    "levels_of",
    "message",
    "newest_records",
    "topics_of",
]
