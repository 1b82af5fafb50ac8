"""Pods of a running pipeline are killed at random, over and over: the tables are those of the oracle, and each time the
pipeline is Ready again, with new rows in its tables, within a minute.

    python -m benchmarks.cluster_kills                 20 kills on the one-node cluster, twenty minutes
    python -m benchmarks.cluster_kills --kills 100 --seed 7
    python -m benchmarks.cluster_kills --only taskmanager --kills 5

A Pod of a random process (operator, JobManager, TaskManager, ingestion, each sink, API, dashboard) is deleted by force,
without time to end, while two captures are replayed; the next when the last is mended. Trades that nobody read are
fetched, so each is there once; of a book the events that passed meanwhile are named by a gap record, and no others.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import defaultdict
from functools import partial
from typing import Any

from benchmarks.cluster import Campaign, campaign, capture, wait
from benchmarks.support import machine
from tests.cluster.deployed import Tables, history
from tests.cluster.kubectl import Kubectl
from tests.cluster.replayed import PIPELINE, check_tables, drained, followed, is_ready

__all__ = ["main"]

LONGEST = 240.0
"""Seconds until a kill that is not mended ends the campaign; a minute is what is aimed at."""
SECONDS_A_KILL = 60
CAPTURED_SECONDS = 345
_PROCESS = "marketpipeline.dev/process"


def main(arguments: list[str]) -> int:
    """Prints what was found as JSON; fails on the first row that is not right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="Kill Pods of this part alone.")
    wanted = parser.parse_args(arguments)
    speeds = {"binance": round(CAPTURED_SECONDS / (SECONDS_A_KILL * wanted.kills), 3)}
    found: dict[str, Any] = {"machine": machine(), "seed": wanted.seed, "speeds": speeds}
    with campaign(speeds) as running:
        found["parts"] = _kill(running, wanted.kills, random.Random(wanted.seed), wanted.only)
        with drained(running.kubectl, capture, speeds) as at_the_end:
            found["tables"] = {symbol: check_tables(at_the_end, capture, symbol) for symbol in followed(speeds)}
    print(json.dumps(found | {"kills": wanted.kills}, indent=1))
    return 0


def _kill(running: Campaign, kills: int, chance: random.Random, only: str | None) -> dict[str, Any]:
    """Seconds until all was well again, by the part that was killed."""
    mended: dict[str, list[float]] = defaultdict(list)
    with history(running.kubectl) as connection:
        tables = Tables(connection)
        wait(lambda: bool(tables.newest("book_metrics", "update_id")), "the first rows", LONGEST)
        for number in range(kills):
            pods = _pods(running)
            part = only or chance.choice(sorted(pods))
            kubectl, name = chance.choice(pods[part])
            before = tables.newest("book_metrics", "update_id")
            began = time.monotonic()
            kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
            wait(partial(_is_mended, running, name, part), f"ready again without {name}", LONGEST)
            wait(partial(_grew, tables, before), f"new rows without {name}", LONGEST)
            mended[part].append(round(time.monotonic() - began, 1))
            print(
                json.dumps({"kill": number + 1, "pod": name, "mended_s": mended[part][-1]}), file=sys.stderr, flush=True
            )
    every = [seconds for part in mended.values() for seconds in part]
    return {**mended, "longest_s": max(every), "beyond_60_s": sum(seconds > 60 for seconds in every)}


def _pods(running: Campaign) -> dict[str, list[tuple[Kubectl, str]]]:
    """The names of Pods that are ready, by their process; those of scheduled jobs are none."""
    found: dict[str, list[tuple[Kubectl, str]]] = defaultdict(list)
    for kubectl, selector in ((running.kubectl, (PIPELINE,)), (running.operator.kubectl, ())):
        for pod in kubectl.get("pods", *selector)["items"]:
            labels = pod["metadata"].get("labels", {})
            by_job = any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))
            if _pod_is_ready(pod) and not by_job:
                found[labels.get(_PROCESS, "operator")].append((kubectl, pod["metadata"]["name"]))
    return found


def _pod_is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _is_mended(running: Campaign, name: str, part: str) -> bool:
    """Whether another Pod does its work, and the status says so."""
    return any(other != name for _, other in _pods(running).get(part, [])) and is_ready(running.kubectl)


def _grew(tables: Tables, before: dict[str, int]) -> bool:
    now = tables.newest("book_metrics", "update_id")
    return all(now[symbol] > newest for symbol, newest in before.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
