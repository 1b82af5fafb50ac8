"""Flink's own settings in a spec: any of them but those that other fields, or the project itself, decide."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

__all__ = ["DECIDED", "FLINK_KEY", "FlinkConfiguration"]

FLINK_KEY = r"^[a-z][A-Za-z0-9._-]{0,199}$"

_ITSELF = "the job finds by itself what it goes on from"
_SECRET = "processing.s3.credentialsSecret"
DECIDED: Mapping[str, str] = {
    "execution.checkpointing.dir": "processing.checkpointDirectory",
    "execution.checkpointing.interval": "processing.checkpointInterval",
    "execution.checkpointing.savepoint-dir": "processing.checkpointDirectory",
    "execution.state-recovery.path": _ITSELF,
    "jobmanager.memory.process.size": "processing.resources",
    "jobmanager.rpc.address": "the operator sets it",
    "parallelism.default": "processing.parallelism",
    "pipeline.max-parallelism": "the state is divided into 256 parts for good",
    "s3.access-key": _SECRET,
    "s3.endpoint": "processing.s3.endpoint",
    "s3.secret-key": _SECRET,
    "state.backend.type": "processing.stateBackend",
    "taskmanager.memory.process.size": "processing.resources",
    "taskmanager.numberOfTaskSlots": "each TaskManager has one",
}
"""Settings that may not be given, and what decides them."""


def _checked(values: dict[str, str]) -> dict[str, str]:
    for key in values:
        if not re.fullmatch(FLINK_KEY, key):
            raise ValueError(f"{key!r} is no name of a setting of Flink, e.g. taskmanager.memory.managed.fraction")
        if why := DECIDED.get(key):
            raise ValueError(f"{key} may not be given: {why}")
    return values


FlinkConfiguration = Annotated[
    dict[
        str,
        Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00-\x1f]*$")],
    ],
    Field(max_length=64),
    AfterValidator(_checked),
]
"""Settings by name, as text."""
