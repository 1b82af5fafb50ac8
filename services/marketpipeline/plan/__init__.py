"""`plan(pipeline)`: from what a user wants to everything it takes, as data that can be printed and compared."""

from __future__ import annotations

from marketpipeline.plan.build import plan
from marketpipeline.plan.model import (
    Component,
    Plan,
    Port,
    Preparation,
    Probe,
    ScheduledJob,
    SecretEnv,
    SecretFolder,
    StreamJob,
    Topic,
    Workload,
)
from marketpipeline.plan.programs import Program, components_yaml, programs
from marketpipeline.plan.show import plan_as_json, plan_as_text

__all__ = [
    "Component",
    "Plan",
    "Port",
    "Preparation",
    "Probe",
    "Program",
    "ScheduledJob",
    "SecretEnv",
    "SecretFolder",
    "StreamJob",
    "Topic",
    "Workload",
    "components_yaml",
    "plan",
    "plan_as_json",
    "plan_as_text",
    "programs",
]
