"""Our handlers from frame bytes to produced records: `python -m benchmarks.feeds.handlers SETTINGS CAPTURE ROUNDS`.

Prints one JSON object. `seconds` and `cpu_seconds` are of the thread that handles frames, up to the last call of the
producer; what the producer's own threads do then is the same for both contenders.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from marketpipeline.ingestion.context import Get
from marketpipeline.ingestion.publisher import KafkaPublisher
from marketpipeline.ingestion.session import Session
from marketpipeline.record_kinds import FEED_TOPIC
from marketpipeline.settings import IngestionSettings
from marketpipeline.topics import TopicKind
from marketpipeline.venues.adapter import load_adapter

from benchmarks.feeds.frames import load

EVERY = 500
"""Frames between two looks at the producer's queue, as between two reads of a socket."""


def main(settings: IngestionSettings, path: Path, rounds: int) -> None:
    frames = load(path, rounds)
    publisher = KafkaPublisher(settings.kafka, settings.topic_prefix, "handlers")
    publisher.connect([*(FEED_TOPIC[feed] for feed in settings.feeds), TopicKind.EVENTS, TopicKind.DEAD_LETTERS])
    adapter = load_adapter(settings.exchange)
    symbols = [f"{settings.exchange}:{symbol}" for symbol in settings.symbols]
    session = Session(settings, symbols, adapter, publisher, max_streams=1024)
    session.exchange_clock.told(frames.began * 1000, time.time_ns() // 1000)
    session.tick(0.0, 0)
    session.connected(1, 0.0)
    connection = session.connection(1)
    assert connection is not None
    connection.frame(b'{"result":null,"id":1}', 0)
    for frame in frames.frames:
        if b"@depth@" in frame[:40]:
            connection.frame(frame, time.time_ns() // 1000)
            break
    session.tick(0.0, 0)
    call = next(command for command in session.commands if isinstance(command, Get))
    session.limiter.answered(call.call, 200, {}, frames.snapshot, 0.0, 0)
    take, waited = connection.frame, 0.0
    began, cpu_began = time.perf_counter(), time.thread_time()
    for start in range(0, len(frames.frames), EVERY):
        now = time.time_ns() // 1000
        for frame in frames.frames[start : start + EVERY]:
            take(frame, now)
        if publisher.pressed(False):
            pause = time.perf_counter()
            while publisher.pressed(True):
                time.sleep(0.001)
            waited += time.perf_counter() - pause
    seconds, cpu_seconds = time.perf_counter() - began - waited, time.thread_time() - cpu_began
    unacknowledged = publisher.flush(120)
    result = {
        "frames": len(frames.frames), "produced": sum(publisher.produced().values()), "dlq": session.dead_letters,
        "gaps": session.events["gap"], "seconds": seconds, "cpu_seconds": cpu_seconds, "waited": waited,
        "unacknowledged": unacknowledged,
    }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main(IngestionSettings.load(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]))
