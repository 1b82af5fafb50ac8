"""Our handlers from frame bytes to produced records: `python -m benchmarks.feeds.handlers SETTINGS CAPTURE ROUNDS`.

Prints one JSON object. `seconds` and `cpu_seconds` are of the thread that handles frames, up to the last call of the
producer; what the producer's own threads do then is the same for both contenders.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from marketpipeline.ingestion.desk import Get
from marketpipeline.ingestion.producer import KafkaOutlet
from marketpipeline.ingestion.session import Session
from marketpipeline.record_kinds import FEED_TOPIC
from marketpipeline.settings import IngestionSettings
from marketpipeline.topics import TopicKind
from marketpipeline.venues.dialect import load_dialect

from benchmarks.feeds.frames import load

EVERY = 500
"""Frames between two looks at the producer's queue, as between two reads of a socket."""


def main(settings: IngestionSettings, path: Path, rounds: int) -> None:
    frames = load(path, rounds)
    outlet = KafkaOutlet(settings.kafka, settings.topic_prefix, "handlers")
    outlet.connect([*(FEED_TOPIC[feed] for feed in settings.feeds), TopicKind.EVENTS, TopicKind.DEAD_LETTERS])
    dialect = load_dialect(settings.exchange)
    symbols = [f"{settings.exchange}:{symbol}" for symbol in settings.symbols]
    session = Session(settings, symbols, dialect, outlet, max_streams=1024)
    session.tick(0.0, 0)
    session.connected(1, 0.0)
    link = session.link(1)
    assert link is not None
    link.frame(b'{"result":null,"id":1}', 0)
    for frame in frames.frames:
        if b"@depth@" in frame[:40]:
            link.frame(frame, 0)
            break
    session.tick(0.0, 0)
    call = next(command for command in session.commands if isinstance(command, Get))
    session.gate.answered(call.call, 200, {}, frames.snapshot, 0.0, 0)
    take, waited = link.frame, 0.0
    began, cpu_began = time.perf_counter(), time.thread_time()
    for start in range(0, len(frames.frames), EVERY):
        now = time.time_ns() // 1000
        for frame in frames.frames[start : start + EVERY]:
            take(frame, now)
        if outlet.pressed(False):
            pause = time.perf_counter()
            while outlet.pressed(True):
                time.sleep(0.001)
            waited += time.perf_counter() - pause
    seconds, cpu_seconds = time.perf_counter() - began - waited, time.thread_time() - cpu_began
    unacknowledged = outlet.flush(120)
    result = {
        "frames": len(frames.frames), "produced": sum(outlet.produced().values()), "dlq": session.dead_letters,
        "gaps": session.events["gap"], "seconds": seconds, "cpu_seconds": cpu_seconds, "waited": waited,
        "unacknowledged": unacknowledged,
    }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main(IngestionSettings.load(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]))
