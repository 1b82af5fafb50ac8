from __future__ import annotations

import subprocess

import psutil
from marketpipeline.local.leftovers import created_at, end_leftovers


def test_only_the_very_process_is_ended() -> None:
    processes = [subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(2)]
    left, reused = processes
    try:
        live = {
            "mark": "x",
            "components": {
                "broker": {"process": left.pid, "created": created_at(left.pid)},
                "api": {"process": reused.pid, "created": 12.5},
                "sink": {"process": None, "created": None},
            },
        }
        assert end_leftovers(live) == 1
        assert left.wait(timeout=5) != 0
        assert reused.poll() is None
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_nothing_left() -> None:
    assert end_leftovers({}) == 0
    assert created_at(psutil.pids()[-1] + 10_000_000) is None
