"""Where the stream job's time goes: processor time by thread, and of the threads of its tasks by what they do.

Threads are told by the kernel; what a task does, by the flight recorder that every Java has: it looks at running
threads a hundred times a second. A stack belongs to the first of AREAS that one of its frames is of, from the innermost
on.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from benchmarks.job_process import Job

__all__ = ["profile"]

SAMPLING = """\
<?xml version="1.0" encoding="UTF-8"?>
<configuration version="2.0">
  <event name="jdk.ExecutionSample"><setting name="enabled">true</setting><setting name="period">10 ms</setting></event>
</configuration>
"""
"""Nothing but that: for other events classes are changed, and what was compiled of them is thrown away."""
AREAS = (
    ("JSON read", ("dev.marketpipeline.flink.json.PlainJsonReader", "org.apache.flink.formats.json.JsonRow")),
    ("JSON written", ("dev.marketpipeline.flink.json.PlainJsonWriter", "org.apache.flink.formats.raw")),
    ("rules and measures", ("dev.marketpipeline.",)),
    ("rows from and to objects", ("org.apache.flink.table.data.conversion",)),
    ("state", ("org.apache.flink.runtime.state", "org.apache.flink.state.", "org.rocksdb")),
    ("copies between tasks", ("org.apache.flink.runtime.io.network", "org.apache.flink.runtime.plugable")),
    ("copies of rows", ("org.apache.flink.table.runtime.typeutils", "org.apache.flink.api.java.typeutils")),
    ("Kafka", ("org.apache.flink.kafka.", "org.apache.flink.connector.", "org.apache.flink.streaming.connectors")),
    ("projections", ("StreamExecCalc", "org.apache.flink.table.runtime", "org.apache.flink.table.data")),
)  # fmt: skip


def profile(job: Job, folder: Path, seconds: float) -> dict[str, Any]:
    """Record for a while; gives shares in percent of the JVM's processor time by thread, and of its tasks by area."""
    jvm, file = job.jvm(), folder / "profile.jfr"
    settings = folder / "sampling.jfc"
    settings.write_text(SAMPLING)
    _jcmd(jvm, "JFR.start", "name=benchmark", f"settings={settings}")
    before = _threads(jvm)
    time.sleep(seconds)
    after = _threads(jvm)
    _jcmd(jvm, "JFR.dump", "name=benchmark", f"filename={file}")
    _jcmd(jvm, "JFR.stop", "name=benchmark")
    threads = {name: used - before.get(name, 0.0) for name, used in after.items()}
    areas, leaves = _areas(file)
    return {"threads": _shares(threads), "tasks": _shares(areas), "innermost": _shares(leaves)}


def _jcmd(pid: int, *command: str) -> None:
    subprocess.run(["jcmd", str(pid), *command], stdout=subprocess.DEVNULL, check=True)


def _threads(pid: int) -> dict[str, float]:
    """Processor seconds by name of the thread, which the kernel cuts at 15 characters."""
    found: dict[str, float] = defaultdict(float)
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            head, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        fields = rest.split()
        found[head.partition("(")[2]] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def _areas(file: Path) -> tuple[Counter[str], Counter[str]]:
    printed = subprocess.run(
        ["jfr", "print", "--json", "--stack-depth", "64", "--events", "jdk.ExecutionSample", str(file)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    areas: Counter[str] = Counter()
    leaves: Counter[str] = Counter()
    for event in json.loads(printed)["recording"]["events"]:
        values = event["values"]
        frames = [
            f"{frame['method']['type']['name'].replace('/', '.')}.{frame['method']['name']}"
            for frame in (values["stackTrace"] or {"frames": []})["frames"]
        ]
        areas[_area(frames)] += 1
        if frames:
            leaves[frames[0]] += 1
    return areas, leaves


def _area(frames: list[str]) -> str:
    for frame in frames:
        for name, prefixes in AREAS:
            if frame.startswith(prefixes):
                return name
    return "other"


def _shares(counts: dict[str, float] | Counter[str]) -> dict[str, float]:
    """Percent, the largest first; less than one half is left out."""
    whole = sum(counts.values()) or 1
    shares = {name: round(100 * value / whole, 1) for name, value in counts.items()}
    return {name: share for name, share in sorted(shares.items(), key=lambda one: -one[1]) if share >= 0.5}
