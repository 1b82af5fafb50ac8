"""What the job read and could not use: to the dead-letter topic, with the place where it lies.

Flink's JSON reader does not keep the raw record, so the payload here is the fields that could be told, and `source`
names topic, partition and offset, where the record itself still is. A record that is not JSON at all never becomes a
row; those are counted by the source (runtime/monitor.py).
"""

from __future__ import annotations

from marketpipeline.settings import JobSettings
from marketpipeline.topics import TopicKind, topic_name

from marketpipeline_job.ddl import sink
from marketpipeline_job.sql import PROCESS_TIME

__all__ = ["dead_letters"]


def dead_letters(settings: JobSettings, kind: TopicKind, error: str) -> tuple[str, str]:
    """The sink, and the statement that writes to it what is wrong among all that the source of a topic gives.

    `error` is an expression: what is said of a row, null for one that is right.
    """
    place = topic_name(settings.topic_prefix, kind)
    statement = f"""\
INSERT INTO dead_letters (`type`, v, symbol, payload, encoding, error, source, ingestion_time)
SELECT 'dead_letter', CAST(1 AS BIGINT), symbol, payload, 'utf-8', error, source, {PROCESS_TIME}
FROM (
    SELECT
        COALESCE(symbol, '') AS symbol,
        JSON_OBJECT('type' VALUE `type`, 'v' VALUE v, 'symbol' VALUE symbol) AS payload,
        '{place}[' || CAST(`partition` AS STRING) || ']@' || CAST(`offset` AS STRING) AS source,
        {error} AS error
    FROM {kind.value.replace("-", "_")}
)
WHERE error IS NOT NULL"""
    return sink(settings, TopicKind.DEAD_LETTERS), statement
