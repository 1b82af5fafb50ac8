"""The stream job beside other stream processors, on the same topics: `python -m benchmarks.peers`, prints JSON.

Each is installed into an environment of its own (.cache/peers, `uv` and Maven), pinned to one core, with the broker on
the other; each reads what waits in the topic, commits once a second and sends at least once. A speed counts where the
results equal what is right (`tasks.py`); it is between the first third and the last event, by the broker's own times of
the results. The stream job computes everything that it always does, the peers the task alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient, NewTopic
from marketpipeline.records import encode
from marketpipeline.topics import TopicKind, topic_name

from benchmarks.job_process import PARTITIONS, ends, make_topics, other_cores, produce, running_job
from benchmarks.peers.tasks import TASKS, Right, check, events, results, right
from benchmarks.support import ROOT, machine, running_broker
from tests.support.tied import tied

__all__ = ["main"]

HERE = Path(__file__).resolve().parent
CACHE = ROOT / ".cache" / "peers"
SLOW, QUICK = 150_000, 900_000
"""Events for a peer in Python, and for the others."""
LONGEST_SECONDS = 240.0
PYTHON_PEERS = {
    "quix": ("quixstreams==3.28.1", "orjson==3.13.0"),
    "bytewax": ("bytewax==0.21.1", "confluent-kafka==2.16.1", "orjson==3.13.0"),
    "pathway": ("pathway==0.33.0", "orjson==3.13.0"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="The stream job beside other stream processors.")
    parser.add_argument(
        "--peers", nargs="*", default=["job", "kafka_streams", "quix", "bytewax"], help="also pathway, 1.3 GB"
    )
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=TASKS)
    given = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(), "results": []}
    commands = {name: _installed(name) for name in given.peers if name != "job"}
    with tempfile.TemporaryDirectory(prefix="benchmark-peers-") as name, running_broker(Path(name), other_cores) as at:
        for task in given.tasks:
            for peer in given.peers:
                sent = events(task, SLOW if peer in PYTHON_PEERS else QUICK)
                wanted = right(task, sent)
                prefix = f"{peer}-{task}".replace("_", "-")
                folder = Path(name) / prefix
                folder.mkdir()
                if peer == "job":
                    rows = _job(folder, at, prefix, task, sent, wanted)
                else:
                    rows = _peer(folder, at, prefix, commands[peer], task, sent, wanted)
                found["results"].append({"peer": peer, "task": task, "events": len(sent), **check(task, rows, wanted)})
                print(json.dumps(found["results"][-1]), file=sys.stderr, flush=True)
    print(json.dumps(found, indent=2))
    return 1 if any(one["wrong"] or one["absent"] for one in found["results"] if one["peer"] == "job") else 0


def _installed(peer: str) -> list[str]:
    """Its command, once it is installed. Raises SystemExit with what the installer said."""
    if peer in PYTHON_PEERS:
        python = CACHE / peer / "bin" / "python"
        uv = str(ROOT / ".venv" / "bin" / "uv")
        if not python.exists():
            _call(uv, "venv", "-q", "--python", sys.executable, str(CACHE / peer))
        _call(uv, "pip", "install", "-q", "--python", str(python), *PYTHON_PEERS[peer])
        return [str(python), str(HERE / f"{peer}.py")]
    target = CACHE / peer
    shutil.copytree(HERE / peer, target / "build", dirs_exist_ok=True)
    copied = f"-DoutputDirectory={target / 'jars'}"
    _call(
        "mvn",
        "-q",
        "-B",
        "-ntp",
        "-f",
        str(target / "build" / "pom.xml"),
        "package",
        "dependency:copy-dependencies",
        copied,
    )
    classes = os.pathsep.join((str(target / "build" / "target" / "peer.jar"), str(target / "jars" / "*")))
    return ["java", "-Xmx1024m", "-Xmn512m", "-XX:+UseSerialGC", "-cp", classes, "peers.Main"]


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])}: {(done.stdout + done.stderr)[-2000:]}")


def _job(
    folder: Path, address: str, prefix: str, task: str, sent: Sequence[Any], wanted: Right
) -> list[tuple[int, dict[str, Any]]]:
    make_topics(address, prefix, sorted({one.symbol for one in sent}), **{"message.timestamp.type": "LogAppendTime"})
    produce(address, topic_name(prefix, TopicKind.BOOK if task == "book" else TopicKind.TRADES), _messages(sent))
    target = topic_name(prefix, TopicKind.BOOK_METRICS if task == "book" else TopicKind.CANDLES)
    with running_job(folder, address, prefix, core=0, state_backend="hashmap", windows=["1m"]):
        _wait(address, target, lambda rows: _complete(task, rows, wanted))
    return [(at, row) for at, row in results(address, target) if task == "book" or row["closed"]]


def _peer(
    folder: Path, address: str, prefix: str, command: Sequence[str], task: str, sent: Sequence[Any], wanted: Right
) -> list[tuple[int, dict[str, Any]]]:
    source, target = f"{prefix}.in", f"{prefix}.out"
    config = {"message.timestamp.type": "LogAppendTime"}
    topics = [NewTopic(source, PARTITIONS, 1), NewTopic(target, PARTITIONS, 1, config=config)]
    admin = AdminClient({"bootstrap.servers": address})
    for future in admin.create_topics(topics).values():
        future.result(30)
    produce(address, source, _messages(sent))
    with _running(folder, [*command, task, address, source, target, str(folder / "state")]):
        _wait(address, target, lambda rows: _complete(task, rows, wanted))
    return results(address, target)


def _messages(sent: Sequence[Any]) -> Iterator[tuple[str, bytes]]:
    return ((one.symbol, encode(one)) for one in sent)


def _complete(task: str, rows: Sequence[tuple[int, dict[str, Any]]], wanted: Right) -> bool:
    name = "update_id" if task == "book" else "open_time"
    return not wanted.keys() - {(row["symbol"], row[name]) for _, row in rows if row.get("closed", True)}


def _wait(address: str, topic: str, complete: Callable[[Sequence[tuple[int, dict[str, Any]]]], bool]) -> None:
    """Until all results are there, or no more came for a while."""
    began = changed = time.monotonic()
    count = 0
    while time.monotonic() < began + LONGEST_SECONDS:
        time.sleep(0.5)
        now = ends(address, topic)
        if now != count:
            count, changed = now, time.monotonic()
        quiet = time.monotonic() - changed if count else 0.0
        if quiet > 20 or (quiet > 3 and complete(results(address, topic))):
            return


@contextmanager
def _running(folder: Path, command: Sequence[str]) -> Iterator[None]:
    with (folder / "peer.log").open("wb") as log:
        process = subprocess.Popen(
            tied(list(command)), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            preexec_fn=lambda: os.sched_setaffinity(0, {0}),
        )  # fmt: skip
    try:
        yield
        if process.poll() is not None:
            print((folder / "peer.log").read_text()[-1500:], file=sys.stderr)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


if __name__ == "__main__":
    sys.exit(main())
