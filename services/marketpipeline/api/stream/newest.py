"""What the stores have as newest, for the snapshots of the stream."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from marketpipeline.api.stream.updates import STREAMED
from marketpipeline.errors import MarketPipelineError
from marketpipeline.readers import HistoryQuery, Readers, Span
from marketpipeline.records import Record
from marketpipeline.store import table_of
from marketpipeline.store.latest import ENTRIES
from marketpipeline.store.rows import record_of

__all__ = ["newest_records"]

_log = logging.getLogger(__name__)

_RECENT = 200


async def newest_records(
    readers: Readers, symbols: Sequence[str], windows: Sequence[str], kinds: Iterable[str]
) -> Iterable[Record]:
    """The newest records of these kinds, and the last ones of those that are kept as a list.

    What the stores do not give now is absent: the topics tell of it with its next update.
    """
    entries = [kind for kind in kinds if kind in ENTRIES]
    wanted = [
        name
        for kind in entries
        for name in ([kind] if ENTRIES[kind][1].by is None else [f"{kind}:{w}" for w in windows])
    ]
    found: list[Record] = []
    try:
        newest = await readers.newest(list(symbols), wanted)
        found += [record for records in newest.symbols.values() for record in records.values()]
        for kind in (kind for kind in kinds if STREAMED[kind].recent):
            layout = STREAMED[kind].table
            if layout is not None:
                table = table_of(layout.name)
                rows = await readers.rows(HistoryQuery(table, {}, Span(limit=_RECENT), newest_first=True))
                found += [record_of(table, row) for row in reversed(rows)]
    except MarketPipelineError as error:
        _log.warning("snapshots lack what the stores have", extra={"error": str(error)})
    return found
