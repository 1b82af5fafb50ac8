"""How fast ingestion is: `python -m benchmarks.ingestion`, prints JSON with machine and versions.

`socket`: frames of the BTCUSDT capture's mix (changes of the book, trades, best quotes) through a real socket into
a real broker, until the last record is acknowledged, the ingestion pinned to one core. `handlers`: frame bytes to
produced record, against cryptofeed's own handlers with the same producer in their callbacks, turn by turn on the
same frames; it is installed into .cache/benchmarks the first time. Each is repeated and the best is told: other work
on the machine can only make it slower. `per_cpu_second` divides by CPU time, which other work disturbs less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from confluent_kafka import libversion
from confluent_kafka.admin import AdminClient, NewTopic
from marketpipeline.kafka import producer_config
from marketpipeline.settings import KafkaSettings
from marketpipeline.topics import TopicKind, topic_name

from benchmarks.feeds.frames import load
from benchmarks.support import CAPTURES, ROOT, machine, running_broker
from tests.support.tied import tied

__all__ = ["main"]

CAPTURE = CAPTURES[0]
OTHER = ROOT / ".cache" / "benchmarks" / "cryptofeed"
OTHER_PACKAGES = ["cryptofeed==2.4.1", "confluent-kafka==" + version("confluent-kafka")]
PARTITIONS = 3


def main() -> int:
    parser = argparse.ArgumentParser(description="Ingestion: frames a second on one core.")
    parser.add_argument("--rounds", type=int, default=8, help="how often the capture's frames are sent")
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each, of which the best is told")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    parser.add_argument("--without-other", action="store_true", help="do not compare with cryptofeed")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-ingestion-") as name,
        running_broker(Path(name), pin_elsewhere) as address,
    ):
        bench = Bench(Path(name), address, arguments.rounds)
        socket = best(bench.through_socket, arguments.repeat)
        result: dict[str, Any] = {"machine": machine(), "versions": versions(), "socket": socket}
        pairs = [
            (bench.handlers(), None if arguments.without_other else bench.other()) for _ in range(arguments.repeat)
        ]
    ours = [mine for mine, _ in pairs]
    result["handlers"] = {"ours": pick(ours)}
    if theirs := [other for _, other in pairs if other is not None]:
        result["handlers"]["cryptofeed"] = pick(theirs)
        result["handlers"]["times"] = {
            key: round(pick(ours)[key] / pick(theirs)[key], 1) for key in ("per_second", "per_cpu_second")
        }
    print(json.dumps(result, indent=2))
    return 0


class Bench:
    """The measurements, each a process of its own on core 0; broker and sender have the others."""

    def __init__(self, folder: Path, address: str, rounds: int) -> None:
        self._folder = folder
        self._address = address
        self._rounds = rounds
        self._number = 0
        self._frames = load(CAPTURE, rounds)

    def through_socket(self) -> dict[str, Any]:
        """From the socket to acknowledged records."""
        with self._sender() as sender:
            settings = self._settings(sender["socket"], sender["rest"])
            done = run("benchmarks.feeds.through_socket", str(settings), str(sender["frames"]))
        assert done["acknowledged"], done
        assert not done["dlq"], done
        assert done["frames"] >= sender["frames"], done
        return rates(done)

    def handlers(self) -> dict[str, Any]:
        """From frame bytes to produced records."""
        done = run("benchmarks.feeds.handlers", str(self._settings(1, 1)), str(CAPTURE), str(self._rounds))
        assert not done["dlq"] + done["gaps"] + done["unacknowledged"], done
        return rates(done)

    def other(self) -> dict[str, Any]:
        """The same frames by cryptofeed."""
        path = self._folder / "frames.txt"
        if not path.exists():
            path.write_bytes(b"\n".join([self._frames.snapshot, *map(renamed, self._frames.frames)]) + b"\n")
        config = producer_config(KafkaSettings(bootstrap_servers=self._address), "other")
        script = ROOT / "benchmarks" / "feeds" / "cryptofeed_handlers.py"
        done = call([str(other_python()), str(script), str(path), json.dumps(config), self._topics()])
        assert not done["failures"] + done["unacknowledged"], done
        assert done["produced"] >= len(self._frames.frames), done
        return rates(done)

    def _topics(self) -> str:
        self._number += 1
        prefix = f"run-{self._number}"
        admin = AdminClient({"bootstrap.servers": self._address})
        for made in admin.create_topics(
            [NewTopic(topic_name(prefix, kind), PARTITIONS, 1) for kind in TopicKind]
        ).values():
            made.result(30)
        return prefix

    def _settings(self, socket: int, rest: int) -> Path:
        path = self._folder / "settings.json"
        settings = {
            "pipeline": "benchmark", "kafka": {"bootstrap_servers": self._address}, "topic_prefix": self._topics(),
            "exchange": "binance", "symbols": [self._frames.symbol], "feeds": ["book", "trades", "quotes"],
            "levels": 20, "websocket_url": f"ws://127.0.0.1:{socket}", "rest_url": f"http://127.0.0.1:{rest}",
        }  # fmt: skip
        path.write_text(json.dumps(settings))
        return path

    @contextmanager
    def _sender(self) -> Iterator[dict[str, Any]]:
        command = [sys.executable, "-m", "benchmarks.feeds.feeder", str(CAPTURE), str(self._rounds)]
        process = subprocess.Popen(tied(command), cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=pin_elsewhere)
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(10)


def run(module: str, *arguments: str) -> dict[str, Any]:
    """A measurement of ours."""
    return call([sys.executable, "-m", module, *arguments])


def call(command: list[str]) -> dict[str, Any]:
    """Run a measurement on core 0; it prints JSON last."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=pin)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def rates(done: dict[str, Any]) -> dict[str, Any]:
    """With what counts: frames a second of time and of CPU time."""
    frames = done["frames"]
    return done | {"per_second": round(frames / done["seconds"]), "per_cpu_second": round(frames / done["cpu_seconds"])}


def best(measure: Callable[[], dict[str, Any]], times: int) -> dict[str, Any]:
    """The best of some measurements."""
    return pick([measure() for _ in range(times)])


def pick(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The one that took the least CPU time, with the least time of all."""
    chosen = min(results, key=lambda result: result["cpu_seconds"])
    return chosen | {"per_second": max(result["per_second"] for result in results)}


def renamed(frame: bytes) -> bytes:
    """A frame as cryptofeed knows it: its trades are `aggTrade`, numbered by `a`."""
    if b"@trade" not in frame[:40]:
        return frame
    return frame.replace(b'"e":"trade"', b'"e":"aggTrade"').replace(b'"t":', b'"a":')


def other_python() -> Path:
    """A Python that has cryptofeed, made the first time."""
    python = OTHER / "bin" / "python"
    if not python.exists():
        print("installing cryptofeed into .cache/benchmarks (a minute)", file=sys.stderr)
        shutil.rmtree(OTHER, ignore_errors=True)
        venv.create(OTHER, with_pip=True)
        try:
            subprocess.run([python, "-m", "pip", "install", "-q", *OTHER_PACKAGES], check=True)
        except subprocess.CalledProcessError:
            shutil.rmtree(OTHER)
            raise
    return python


def pin() -> None:
    """This process on the first core that it may have."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def pin_elsewhere() -> None:
    """This process on the other cores, where there are others."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores - {min(cores)} or cores)


def versions() -> dict[str, str]:
    """Of what takes part."""
    names = ("marketpipeline", "picows", "uvloop", "msgspec", "confluent-kafka")
    return {"python": platform.python_version(), "librdkafka": libversion()[0]} | {
        name: version(name) for name in names
    }


if __name__ == "__main__":
    sys.exit(main())
