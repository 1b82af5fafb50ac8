"""An upgrade from another commit, with a pipeline that runs: its operator, then the images of what it operates.

    python -m benchmarks.cluster_upgrade                    from the commit before this one
    python -m benchmarks.cluster_upgrade --from main~20

The other commit's chart and images are installed on the one-node cluster and a replay begins. Then the chart and the
operator of the work tree replace theirs, and no Pod of the pipeline may be touched; then all other images do. At the
end of the replay the tables must be those of the oracle, with no gap.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.cluster import campaign, capture, wait
from benchmarks.support import ROOT, machine
from tests.cluster.charts import OPERATOR_CHART
from tests.cluster.image import OPERATOR, Image
from tests.cluster.replayed import (
    OPERANDS,
    PIPELINE,
    Pods,
    check_tables,
    does_its_work,
    drained,
    followed,
    generations,
    pods,
)

__all__ = ["main"]

SPEEDS = {"binance": 1, "okx": 0.05}
BEFORE = "before"
SETTLED = 60.0
"""Seconds that the new operator is watched for what it replaces; it looks at a pipeline every 15 s."""


def main(arguments: list[str]) -> int:
    """Prints what was found as JSON; fails on the first Pod or row that is not right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="revision", default="HEAD~1")
    revision = parser.parse_args(arguments).revision
    with _checked_out(revision) as tree:
        commit = _git("rev-parse", "--short", "HEAD", cwd=tree)
        found: dict[str, Any] = {"machine": machine(), "from": commit, "to": _git("rev-parse", "--short", "HEAD")}
        images = (OPERATOR, *(_of(tree, image) for image in (OPERATOR, *OPERANDS)))
        chart = tree / OPERATOR_CHART.relative_to(ROOT)
        options = (f"--set=image.tag={BEFORE}", f"--set=images.tag={BEFORE}")
        with campaign(SPEEDS, operator_chart=chart, options=options, images=images) as running:
            before, written = pods(running.kubectl, PIPELINE), generations(running.kubectl)
            current = replace(running.operator, chart=OPERATOR_CHART)
            current.install(f"--set=images.tag={BEFORE}")
            until = time.monotonic() + SETTLED
            while time.monotonic() < until:
                touched = {name for name, pod in pods(running.kubectl, PIPELINE).items() if before.get(name) != pod}
                changed = {name for name, number in generations(running.kubectl).items() if written.get(name) != number}
                assert not touched | changed, f"the new operator alone changed {touched | changed}"
                time.sleep(1)
            current.install()
            found["seconds_of_the_rollout"] = wait(
                lambda: does_its_work(running.kubectl) and _is_current(pods(running.kubectl, PIPELINE)),
                "all runs in the version of the work tree, and is ready",
                400,
            )
            with drained(running.kubectl, capture, SPEEDS) as at_the_end:
                found["tables"] = {symbol: check_tables(at_the_end, capture, symbol) for symbol in followed(SPEEDS)}
    gaps = sum(table["gaps"] for table in found["tables"].values())
    print(json.dumps(found | {"gaps": gaps}, indent=1))
    return 0 if not gaps else 1


def _is_current(running: Pods) -> bool:
    return not any(image.endswith(f":{BEFORE}") for _, _, image in running.values())


def _of(tree: Path, image: Image) -> Image:
    """The same image as the other commit builds it."""
    return replace(image, dockerfile=tree / image.dockerfile.relative_to(ROOT), context=tree, version=BEFORE)


@contextmanager
def _checked_out(revision: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        _git("worktree", "add", "--detach", str(tree), revision)
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str, cwd: Path = ROOT) -> str:
    return subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
