"""What an earlier run left behind although its supervisor and its guard were both killed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psutil

from marketpipeline.local.guard import sweep

__all__ = ["created_at", "end_leftovers"]


def created_at(pid: int) -> float | None:
    """When a process was created, which tells it from a later one with the same id; None when there is none."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def end_leftovers(live: Mapping[str, Any]) -> int:
    """End the processes that a state.json names and that are still the same ones; returns how many those were."""
    components = live.get("components")
    groups = set()
    for component in components.values() if isinstance(components, dict) else ():
        pid, created = component.get("process"), component.get("created")
        if pid is not None and created is not None and created_at(pid) == created:
            groups.add(int(pid))
    if groups:
        sweep(groups, str(live.get("mark", "")))
    return len(groups)
