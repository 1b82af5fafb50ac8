"""The programs that a platform starts: the settings that each takes, where it is, and what its image installs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import yaml

from marketpipeline.plan.model import Component
from marketpipeline.settings import (
    ApiSettings,
    BackupSettings,
    DashboardSettings,
    IngestionSettings,
    Settings,
    TiersSettings,
)
from marketpipeline.sink_kinds import sink_kinds

__all__ = ["Program", "components_yaml", "programs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """`marketpipeline <component> --config FILE`: it loads `settings` and hands them to `target`.

    `target` is `module:function`, called with the settings and then `arguments`; it gives the exit status. `extra` is
    the extra of `pyproject.toml` that it needs.
    """

    settings: type[Settings]
    target: str
    summary: str
    extra: str
    arguments: tuple[str, ...] = ()


_COMMON = {
    Component.INGESTION: Program(
        settings=IngestionSettings,
        target="marketpipeline.ingestion.main:run",
        summary="Read one exchange into the broker.",
        extra="ingestion",
    ),
    Component.API: Program(
        settings=ApiSettings,
        target="marketpipeline.api.main:run",
        summary="Serve queries over HTTP.",
        extra="api-image",
    ),
    Component.DASHBOARD: Program(
        settings=DashboardSettings,
        target="marketpipeline.dashboard.main:run",
        summary="Show the market in a browser.",
        extra="dashboard",
    ),
    Component.STALENESS_CHECK: Program(
        settings=ApiSettings,
        target="marketpipeline.staleness.main:run",
        summary="Report the symbols whose newest data is older than it should be; status 1 when there are any.",
        extra="api-image",
    ),
    Component.TIERS: Program(
        settings=TiersSettings,
        target="marketpipeline.sinks.tiers.main:run",
        summary="Tidy the archive, and drop from the database the days that the archive has whole.",
        extra="tiers",
    ),
    Component.BACKUP: Program(
        settings=BackupSettings,
        target="marketpipeline.sinks.backup.main:run",
        summary="Copy the database, or fill it once from such a copy.",
        extra="backup",
    ),
}


@cache
def programs() -> Mapping[Component, Program]:
    """Every program but the stream job, which has an environment of its own; in the order of `Component`."""
    found = dict(_COMMON)
    for kind in sink_kinds().values():
        found[Component(kind.component)] = Program(
            settings=kind.settings,
            target="marketpipeline.sinks.main:run",
            summary=kind.summary,
            extra=kind.extra,
            arguments=(kind.sink,),
        )
        for job in kind.jobs:
            found[Component(job.name)] = Program(
                settings=kind.settings, target=job.target, summary=job.summary, extra=kind.extra
            )
    return MappingProxyType({component: found[component] for component in Component if component in found})


def components_yaml() -> str:
    """The file in images/: by component the extra that its image installs. The Tiltfile builds by it."""
    extras = {component.value: program.extra for component, program in programs().items()}
    return "# Generated from marketpipeline.plan by `make generate`; do not edit.\n" + yaml.safe_dump(
        extras, sort_keys=False
    )
