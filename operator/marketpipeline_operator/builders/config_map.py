"""ConfigMaps: the settings of each process as the JSON file that it reads."""

from __future__ import annotations

import json
from typing import Any

from marketpipeline.plan import Component

from marketpipeline_operator.builders.context import Context
from marketpipeline_operator.builders.metadata import child, digest
from marketpipeline_operator.names import Object

__all__ = ["settings_config_map", "settings_hash"]

_IN_FORCE_WITHOUT_RESTART = frozenset({"thresholds"})
"""Settings that a running process takes from elsewhere (the thresholds topic): a change replaces no Pod."""


def settings_config_map(context: Context, process: str, component: Component, settings: dict[str, Any]) -> Object:
    """The ConfigMap that a process mounts at /etc/marketpipeline."""
    head = child(context, "v1", "ConfigMap", process, component=component.value, process=process)
    return head | {"data": {"settings.json": json.dumps(settings, indent=1, sort_keys=True) + "\n"}}


def settings_hash(settings: dict[str, Any]) -> str:
    """Hash of what a process reads at its start only."""
    return digest({key: value for key, value in settings.items() if key not in _IN_FORCE_WITHOUT_RESTART})
